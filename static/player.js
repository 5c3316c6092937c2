// Reply audio -> volume -> loudspeaker. The queue itself is in the audio thread (player-worklet.js).

const GLIDE_S = 0.02; // a step of the volume would click

export class Player {
  /** Handlers: onStarted(number), onDrained(number), onProgress({number, position, level, ...}). */
  static async create(context, handlers) {
    await context.audioWorklet.addModule("/static/player-worklet.js");
    return new Player(context, handlers);
  }

  #context;
  #node;
  #gain;
  #handlers;
  #waiting = []; // resolvers of the flushes under way, oldest first

  constructor(context, handlers) {
    this.#context = context;
    this.#handlers = handlers;
    this.#node = new AudioWorkletNode(context, "player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    this.#gain = new GainNode(context);
    this.#node.connect(this.#gain).connect(context.destination);
  }

  /** From 0 to 1. */
  setVolume(volume) {
    this.#gain.gain.setTargetAtTime(volume, this.#context.currentTime, GLIDE_S);
  }

  play({ responseNumber, offsetSamples, samples }) {
    const message = { type: "audio", number: responseNumber, offset: offsetSamples };
    this.#node.port.postMessage({ ...message, pcm: samples.buffer }, [samples.buffer]);
  }

  /** No more audio of this response will come. */
  end(number) {
    this.#node.port.postMessage({ type: "end", number });
  }

  /** Silence within a render quantum. Resolves to the samples of that response really played. */
  flush(number) {
    this.#node.port.postMessage({ type: "flush", number });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #hear(message) {
    if (message.type === "started") this.#handlers.onStarted(message.number);
    if (message.type === "drained") this.#handlers.onDrained(message.number);
    if (message.type === "progress") this.#handlers.onProgress(message);
    if (message.type === "flushed") this.#waiting.shift()(message.position);
  }
}
