// One call, from the click that starts it to its end: opens the microphone, the player and the
// socket, and joins them.
//
//   microphone -> connection -> server -> connection -> conversation -> player

import { askRefusal, Connection, protocolsOf, socketUrl } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Microphone, openAudio } from "./microphone.js";
import { Player } from "./player.js";
import { closeNotice, notices } from "./strings.js";

const GREETING_TIMEOUT_MS = 15_000;

export class Call {
  figures = { inputLevel: 0, outputLevel: 0, playedSamples: 0, underruns: 0 };
  #page; // {move(event), notify(text), fail(text), log(event), meter, transcript}
  #context = null;
  #stream = null;
  #player = null;
  #microphone = null;
  #connection = null;
  #conversation = null;
  #greetingTimer = null;
  #ready = false;
  #closed = false;

  constructor(page) {
    this.#page = page;
  }

  /** Throws what opening the microphone or the worklets throws. */
  async open() {
    const { context, stream } = await openAudio();
    this.#context = context;
    this.#stream = stream;
    if (!this.#closed) await this.#openWorklets(context, stream);
    if (this.#closed) this.#release(); // stopped while the browser was asking
    else this.#connect();
  }

  close() {
    this.#closed = true;
    this.#release();
  }

  /** Plays on after the browser paused the sound; call it in a click. */
  resume() {
    this.#context.resume();
  }

  /** What went through, for tests and for finding faults. */
  get audio() {
    return {
      ...this.figures,
      sampleRateHz: this.#context?.sampleRate ?? 0,
      sentChunks: this.#connection?.sentChunks ?? 0,
      droppedChunks: this.#connection?.droppedChunks ?? 0,
      staleFrames: this.#conversation?.staleFrames ?? 0,
    };
  }

  async #openWorklets(context, stream) {
    this.#player = await Player.create(context, {
      onStarted: (number) => this.#conversation.playbackStarted(number),
      onDrained: (number) => this.#conversation.playbackEnded(number),
      onProgress: (progress) => this.#measure(progress),
    });
    this.#microphone = await Microphone.create(context, stream, {
      onChunk: (chunk) => this.#sendChunk(chunk),
      onLost: () => this.#page.fail(notices.microphoneLost),
    });
  }

  #connect() {
    const connection = new Connection(socketUrl(location), protocolsOf(location), {
      onEvent: (event) => this.#receive(event),
      onFrame: (frame) => this.#conversation.play(frame),
      onClose: (close) => this.#explain(close),
    });
    this.#connection = connection;
    this.#conversation = new Conversation({
      send: (event) => this.#send(event),
      player: this.#player,
      transcript: this.#page.transcript,
      move: (event) => this.#move(event),
      notify: this.#page.notify,
    });
    this.#greetingTimer = setTimeout(() => this.#page.fail(notices.noGreeting), GREETING_TIMEOUT_MS);
  }

  // Browsers do not say why a socket was not opened.
  async #explain(close) {
    const refusal = close.opened ? null : await askRefusal();
    if (!this.#closed) this.#page.fail(closeNotice(close, refusal));
  }

  #receive(event) {
    this.#page.log("server", event);
    this.#conversation.handle(event);
  }

  #send(event) {
    this.#page.log("client", event);
    this.#connection.send(event);
  }

  #move(event) {
    if (this.#closed) return; // a promise of the player that resolves late
    this.#page.move(event);
    if (event === "ready") this.#begin();
  }

  #begin() {
    clearTimeout(this.#greetingTimer);
    this.#ready = true;
    this.#context.onstatechange = () => this.#followContext();
    if (this.#context.state !== "running") this.#followContext();
  }

  // A phone call, a locked screen or a missing click can suspend all sound of a page.
  #followContext() {
    if (this.#context.state === "running") this.#conversation.resumed();
    else if (!this.#closed) this.#page.move("suspended");
  }

  #sendChunk({ pcm, level }) {
    this.figures.inputLevel = Math.max(this.figures.inputLevel, level);
    this.#page.meter.hearUser(level);
    if (this.#ready) this.#connection.sendAudio(pcm);
  }

  #measure({ number, position, level, underruns }) {
    const { figures } = this;
    const before = figures.number === number ? figures.position : 0;
    figures.playedSamples += Math.max(0, position - before);
    Object.assign(figures, { number, position, underruns });
    figures.outputLevel = Math.max(figures.outputLevel, level);
    this.#page.meter.hearReply(level);
  }

  #release() {
    clearTimeout(this.#greetingTimer);
    this.#connection?.close();
    this.#microphone?.close();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context === null || this.#context.state === "closed") return;
    this.#context.onstatechange = null;
    this.#context.close();
  }
}
