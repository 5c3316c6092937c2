// The microphone: a media stream -> chunks of PCM16 at 24 kHz, made in mic-worklet.js.
// The browser's echo cancellation is on, or the reply would interrupt itself.

import { SAMPLE_RATE_HZ } from "./frame.js";

const CONSTRAINTS = {
  audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

/**
 * Asks for the microphone and opens an audio context that can read it. Call it in a click: only
 * then may the context make sound. Throws what getUserMedia throws.
 */
export async function openAudio() {
  let context = newContext({ sampleRate: SAMPLE_RATE_HZ });
  context.resume(); // not awaited: without a click it would wait for ever
  try {
    const stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    if (!canRead(context, stream)) {
      context.close();
      context = newContext();
    }
    return { context, stream };
  } catch (error) {
    context.close();
    throw error;
  }
}

export class Microphone {
  /** Handlers: onChunk({pcm, level}) every 20 ms; onLost(error) when no microphone is left. */
  static async create(context, stream, handlers) {
    await context.audioWorklet.addModule("/static/mic-worklet.js");
    return new Microphone(context, stream, handlers);
  }

  #context;
  #stream;
  #source = null;
  #node;
  #handlers;

  constructor(context, stream, handlers) {
    this.#context = context;
    this.#handlers = handlers;
    this.#node = new AudioWorkletNode(context, "microphone", { outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => handlers.onChunk(data);
    this.#node.connect(context.destination); // silent; a node that leads nowhere may not run
    this.#attach(stream);
  }

  close() {
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.#node.disconnect();
  }

  #attach(stream) {
    this.#source?.disconnect();
    this.#stream = stream;
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#node);
    for (const track of stream.getAudioTracks()) track.onended = () => this.#replace();
  }

  // The device has gone, perhaps a headset; the system may offer another one.
  async #replace() {
    try {
      this.#attach(await navigator.mediaDevices.getUserMedia(CONSTRAINTS));
    } catch (error) {
      this.#handlers.onLost(error);
    }
  }
}

// Some browsers do not allow a rate of one's own; the worklets resample then.
function newContext(options = {}) {
  try {
    return new AudioContext({ latencyHint: "interactive", ...options });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}

// Firefox reads a microphone only into a context of the device's own rate.
function canRead(context, stream) {
  try {
    context.createMediaStreamSource(stream).disconnect();
    return true;
  } catch {
    return false;
  }
}
