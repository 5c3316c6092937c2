// The sound of a call, both ways: the microphone and the loudspeaker, chosen, measured and kept.

import { choosesOutput, listDevices } from "./devices.js";
import { EchoWatch } from "./echo.js";
import { SAMPLE_RATE_HZ } from "./frame.js";
import { Microphone, openAudio } from "./microphone.js";
import { Player } from "./player.js";
import { Recording } from "./recording.js";

export class Sound {
  figures = { inputLevel: 0, outputLevel: 0, playedSamples: 0, underruns: 0 };
  recording = new Recording();
  #handlers;
  #devices;
  #volume;
  #muted = false;
  #context = null;
  #stream = null;
  #player = null;
  #microphone = null;
  #echo = new EchoWatch();
  #openedAt = 0;
  #closed = false;
  #listeners = new AbortController();

  /**
   * Handlers: onChunk(pcm) of the microphone, onLost() of it, onHeardBack(); onStarted(number) and
   * onDrained(number) of a reply; onState(isRunning) of the browser's; onDevices() when others are
   * there; and a `meter`.
   */
  constructor({ devices, volume }, handlers) {
    this.#devices = devices;
    this.#volume = volume;
    this.#handlers = handlers;
  }

  /** Throws what opening the microphone or the worklets throws. False: closed meanwhile. */
  async open() {
    const { context, stream } = await openAudio(this.#devices.input);
    this.#context = context;
    this.#stream = stream;
    if (!this.#closed) await this.#openWorklets(context, stream);
    if (this.#closed) {
      this.close(); // stopped while the browser was asking
      return false;
    }
    this.#openedAt = performance.now();
    this.setVolume(this.#volume);
    if (this.#devices.output) this.setOutput(this.#devices.output);
    this.#listen();
    return true;
  }

  close() {
    this.#closed = true;
    this.#listeners.abort();
    this.#microphone?.close();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context === null || this.#context.state === "closed") return;
    this.#context.onstatechange = null;
    this.#context.close();
  }

  get sampleRateHz() {
    return this.#context?.sampleRate ?? 0;
  }

  get isRunning() {
    return this.#context.state === "running";
  }

  resume() {
    this.#context.resume();
    this.#microphone.resume();
  }

  play(frame) {
    this.recording.hearReply(frame.responseNumber, frame.samples);
    this.#player.play(frame);
  }

  /** No more audio of this response will come. */
  end(number) {
    this.#player.end(number);
  }

  /** Silence at once. Resolves to the samples of that response really played. */
  async flush(number) {
    const played = await this.#player.flush(number);
    this.recording.ended(number, played);
    return played;
  }

  /** From here on, responses are counted from 1 again. */
  recount() {
    this.#player.flush(null);
    this.figures.number = null;
  }

  /** Keeps a chunk that was sent. */
  keep(pcm) {
    this.recording.hearUser(new Int16Array(pcm), this.#sampleNow());
  }

  mute(muted) {
    this.#muted = muted;
    this.#microphone?.mute(muted);
  }

  /** Another microphone, "" for the system's choice. Throws what getUserMedia throws. */
  async setInput(deviceId) {
    this.#devices = { ...this.#devices, input: deviceId };
    await this.#microphone?.choose(deviceId);
  }

  /** Another loudspeaker, "" for the system's choice; one that is not there leaves it to the system. */
  async setOutput(deviceId) {
    this.#devices = { ...this.#devices, output: deviceId };
    if (!choosesOutput() || !this.#context) return;
    const { outputs } = await listDevices();
    const isThere = outputs.some(({ id }) => id === deviceId);
    await this.#context.setSinkId(isThere ? deviceId : "").catch(() => {});
  }

  /** From 0 to 1. */
  setVolume(volume) {
    this.#volume = volume;
    this.#player?.setVolume(volume);
  }

  async #openWorklets(context, stream) {
    const { onStarted, onDrained, onLost } = this.#handlers;
    this.#player = await Player.create(context, {
      onStarted: (number) => {
        this.recording.started(number, this.#sampleNow());
        onStarted(number);
      },
      onDrained: (number) => {
        this.recording.ended(number);
        onDrained(number);
      },
      onProgress: (progress) => this.#measure(progress),
    });
    const onChunk = (chunk) => this.#hear(chunk);
    const handlers = { onChunk, onLost };
    this.#microphone = await Microphone.create(context, stream, this.#devices.input, handlers);
    this.#microphone.mute(this.#muted);
  }

  #listen() {
    const { onState, onDevices } = this.#handlers;
    const { signal } = this.#listeners;
    const changed = () => {
      onDevices();
      this.#followDevices().catch(() => {}); // what is in use goes on
    };
    navigator.mediaDevices.addEventListener("devicechange", changed, { signal });
    const shown = () => document.hidden || this.resume();
    document.addEventListener("visibilitychange", shown, { signal });
    this.#context.onstatechange = () => onState(this.isRunning);
  }

  // What was chosen may have gone or come back. A microphone that goes is noticed by its stream.
  async #followDevices() {
    const { input, output } = this.#devices;
    if (output) await this.setOutput(output);
    const { inputs } = await listDevices();
    const isBack = inputs.some(({ id }) => id === input) && this.#microphone.deviceId !== input;
    if (input && isBack) await this.setInput(input);
  }

  #hear({ pcm, level }) {
    this.figures.inputLevel = Math.max(this.figures.inputLevel, level);
    this.#handlers.meter.hearUser(level);
    if (this.#echo.hearUser(level, performance.now())) this.#handlers.onHeardBack();
    if (!this.#muted) this.#handlers.onChunk(pcm);
  }

  #measure({ number, position, level, underruns, queuedMs }) {
    const { figures } = this;
    const before = figures.number === number ? figures.position : 0;
    figures.playedSamples += Math.max(0, position - before);
    Object.assign(figures, { number, position, underruns, queuedMs });
    figures.outputLevel = Math.max(figures.outputLevel, level);
    this.#echo.hearReply(level, performance.now());
    this.#handlers.meter.hearReply(level);
  }

  #sampleNow() {
    return Math.round(((performance.now() - this.#openedAt) / 1000) * SAMPLE_RATE_HZ);
  }
}
