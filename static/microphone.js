// The microphone: a media stream -> chunks of PCM16 at 24 kHz, made in mic-worklet.js.
// The browser's echo cancellation is on, or the reply would interrupt itself.
//
// Devices come, go and change their rate (a headset does when its microphone is opened): then the
// stream is asked for again, of the chosen device or else of any.

import { SAMPLE_RATE_HZ } from "./frame.js";

const WISHES = {
  channelCount: 1,
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};
const GONE = ["OverconstrainedError", "NotFoundError", "NotReadableError"];
const CHECK_MS = 2_000;

/**
 * Asks for the microphone and opens an audio context that can read it. Call it in a click: only
 * then may the context make sound. Throws what getUserMedia throws.
 */
export async function openAudio(deviceId) {
  let context = newContext({ sampleRate: SAMPLE_RATE_HZ });
  context.resume(); // not awaited: without a click it would wait for ever
  try {
    const stream = await ask(deviceId);
    if (sourceOf(context, stream) === null) {
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
  static async create(context, stream, deviceId, handlers) {
    const microphone = new Microphone(context, deviceId, handlers);
    try {
      await microphone.#attach(stream);
    } catch (error) {
      microphone.close();
      throw error;
    }
    return microphone;
  }

  #shared; // the context that the player uses too
  #context = null; // the same, or one of its own for a device that the other cannot read
  #deviceId;
  #handlers;
  #stream = null;
  #source = null;
  #node = null;
  #rateHz;
  #heard = 0; // chunks since the last check
  #works = false; // this stream has given any
  #muted = false;
  #closed = false;
  #replacing = null;
  #check = setInterval(() => this.#inspect(), CHECK_MS);

  constructor(context, deviceId, handlers) {
    this.#shared = context;
    this.#deviceId = deviceId;
    this.#handlers = handlers;
  }

  /** Another device, "" for the system's choice. Throws what getUserMedia throws; the one before
   * goes on then. */
  async choose(deviceId) {
    await this.#replacing?.catch(() => {});
    this.#deviceId = deviceId;
    await this.#renew();
  }

  /** The id of the device that is heard. */
  get deviceId() {
    return this.#stream.getAudioTracks()[0]?.getSettings().deviceId;
  }

  mute(muted) {
    this.#muted = muted;
    for (const track of this.#stream.getTracks()) track.enabled = !muted;
  }

  resume() {
    this.#context.resume();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#check);
    this.#letGo();
    this.#node?.disconnect();
    if (this.#context !== this.#shared) this.#context?.close();
  }

  async #attach(stream) {
    let source = this.#context && sourceOf(this.#context, stream);
    if (!this.#context) {
      await this.#enter(this.#shared);
      source = sourceOf(this.#shared, stream);
    }
    if (source === null) {
      await this.#enter(newContext());
      source = this.#context.createMediaStreamSource(stream);
    }
    this.#letGo();
    this.#stream = stream;
    if (this.#closed) return this.#letGo();
    this.#source = source;
    source.connect(this.#node);
    this.#works = false;
    for (const track of stream.getAudioTracks()) {
      track.enabled = !this.#muted;
      track.onended = () => this.#replace();
      this.#rateHz = track.getSettings().sampleRate;
    }
  }

  async #enter(context) {
    await context.audioWorklet.addModule("/static/mic-worklet.js");
    this.#node?.disconnect();
    if (this.#context !== this.#shared) this.#context?.close();
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "microphone", { outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => {
      this.#heard += 1;
      this.#handlers.onChunk(data);
    };
    this.#node.connect(context.destination); // silent; a node that leads nowhere may not run
  }

  #letGo() {
    this.#source?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
  }

  // Some devices change their rate under a stream, or fall silent, and tell nobody.
  #inspect() {
    const [track] = this.#stream?.getAudioTracks() ?? [];
    if (track === undefined) return;
    const fellSilent =
      this.#works && this.#heard === 0 && this.#context.state === "running" && !track.muted;
    this.#works ||= this.#heard > 0;
    this.#heard = 0;
    if (fellSilent || track.getSettings().sampleRate !== this.#rateHz) this.#replace();
  }

  #replace() {
    this.#renew().catch((error) => this.#closed || this.#handlers.onLost(error));
  }

  #renew() {
    this.#replacing ??= ask(this.#deviceId)
      .then((stream) => this.#attach(stream))
      .finally(() => (this.#replacing = null));
    return this.#replacing;
  }
}

async function ask(deviceId) {
  const open = (wishes) => navigator.mediaDevices.getUserMedia({ audio: wishes });
  if (!deviceId) return open(WISHES);
  try {
    return await open({ ...WISHES, deviceId: { exact: deviceId } });
  } catch (error) {
    if (!GONE.includes(error.name)) throw error;
    return open(WISHES);
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

// Firefox reads a microphone only into a context of the device's own rate: null for any other.
function sourceOf(context, stream) {
  try {
    return context.createMediaStreamSource(stream);
  } catch {
    return null;
  }
}
