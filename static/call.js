// One call, from the click that starts it to its end: joins the sound, the line and the conversation.
//
//   sound (microphone) -> line -> server -> line -> conversation -> sound (loudspeaker)

import { keyOf } from "./connection.js";
import { Conversation } from "./conversation.js";
import { History } from "./history.js";
import { Line } from "./line.js";
import { PushToTalk } from "./push-to-talk.js";
import { DEFAULTS, toSession, toUpdates } from "./settings.js";
import { Sound } from "./sound.js";
import { microphoneNotice, notices } from "./strings.js";

export class Call {
  #page;
  #settings;
  #push; // a PushToTalk, or null while the server finds the turns
  #muted = false;
  #sound;
  #line;
  #conversation;
  #history = new History();
  #session = null; // as the server created it
  #closed = false;

  /**
   * The page takes {move(event), notify(text), fail(text), needKey(text), log(from, event),
   * timing(turn), devicesChanged(), meter, transcript}.
   */
  constructor(page, options = {}) {
    const { settings = DEFAULTS, key = "", devices = {}, volume = 1 } = options;
    const { pushToTalk = settings.pushToTalk } = options;
    this.#page = page;
    this.#settings = settings;
    this.#push = pushToTalk ? this.#newPush() : null;
    this.#sound = this.#newSound({ devices, volume });
    this.#line = new Line(key || keyOf(location), {
      onEvent: (event) => this.#receive(event),
      onFrame: (frame) => this.#conversation.play(frame),
      onLost: () => this.#lose(),
      onNotice: page.notify,
      onFail: page.fail,
      onKey: page.needKey ?? page.fail,
    });
    this.#conversation = this.#newConversation();
  }

  /** Throws what opening the microphone or the worklets throws. */
  async open() {
    if (await this.#sound.open()) this.#line.call();
  }

  close() {
    this.#closed = true;
    this.#line.close();
    this.#sound.close();
  }

  /** Plays on after the browser paused the sound; call it in a click. */
  resume() {
    this.#sound.resume();
  }

  /** Other settings, in the middle of the call. */
  configure(settings, pushToTalk = settings.pushToTalk) {
    const before = this.#settings;
    const switches = Boolean(pushToTalk) !== (this.#push !== null);
    this.#settings = settings;
    if (switches) {
      this.#push?.drop();
      this.#push = pushToTalk ? this.#newPush() : null;
    }
    const [was, is] = [before, settings].map((one) => JSON.stringify(toSession(one)));
    if (this.#line.ready && (switches || was !== is)) this.#update(before, this.#session);
  }

  /** False where no server is there to take it. */
  sendText(text) {
    if (this.#line.ready) this.#conversation.write(text);
    return this.#line.ready;
  }

  mute(muted) {
    this.#muted = muted;
    if (muted) this.#push?.finish();
    this.#sound.mute(muted);
    if (this.#line.ready) this.#page.move(muted ? "muted" : "unmuted");
  }

  /** Push-to-talk: whether the button is held. Without sound there is nothing to begin. */
  hold(held) {
    const hears = this.#line.ready && !this.#muted && this.#sound.isRunning;
    if (hears || !held) this.#push?.hold(held);
  }

  /** Another microphone, "" for the system's choice. */
  async setInput(deviceId) {
    try {
      await this.#sound.setInput(deviceId);
    } catch (error) {
      this.#page.notify(microphoneNotice(error) ?? notices.startFailed(error));
    }
  }

  /** Another loudspeaker, "" for the system's choice. */
  setOutput(deviceId) {
    return this.#sound.setOutput(deviceId);
  }

  /** From 0 to 1. */
  setVolume(volume) {
    this.#sound.setVolume(volume);
  }

  /** {user, reply: [{startSample, pcm}], forgotten}, also after the call; see recording.js. */
  recording() {
    return this.#sound.recording.all();
  }

  /** What went through, for tests and for finding faults. */
  get audio() {
    const { sentChunks, droppedChunks } = this.#line;
    const { sampleRateHz, figures } = this.#sound;
    const { staleFrames } = this.#conversation;
    return { ...figures, sampleRateHz, sentChunks, droppedChunks, staleFrames };
  }

  #newSound(wishes) {
    const page = this.#page;
    return new Sound(wishes, {
      onChunk: (pcm) => this.#hear(pcm),
      onLost: () => page.fail(notices.microphoneLost),
      onHeardBack: () => page.notify(notices.heardBack),
      onStarted: (number) => this.#conversation.playbackStarted(number),
      onDrained: (number) => this.#conversation.playbackEnded(number),
      onState: () => this.#followSound(),
      onDevices: () => page.devicesChanged?.(),
      meter: page.meter,
    });
  }

  #newConversation() {
    return new Conversation({
      send: (event) => this.#send(event),
      player: this.#sound,
      transcript: this.#page.transcript,
      history: this.#history,
      move: (event) => this.#move(event),
      notify: this.#page.notify,
      greet: (session) => this.#greet(session),
      timing: (turn) => this.#page.timing?.(turn),
    });
  }

  #newPush() {
    return new PushToTalk({
      onPress: () => this.#conversation.press(),
      onAudio: (pcm) => this.#transmit(pcm),
      onTurn: () => this.#conversation.release(true),
      onShort: () => this.#conversation.release(false),
    });
  }

  // A new session is told the settings, and after a loss what was said before: then it need not
  // greet again, and owes an answer if the user had the last word.
  #greet(session) {
    this.#session = session;
    this.#sound.recount();
    this.#update(this.#settings, null);
    const items = this.#history.items();
    if (items.length > 0) this.#send({ type: "response.cancel" });
    for (const item of items) this.#send({ type: "conversation.item.create", item });
    if (items.at(-1)?.role === "user") this.#conversation.ask();
  }

  #update(before, created) {
    for (const session of toUpdates(before, this.#settings, created)) {
      if (this.#push) session.audio.input.turn_detection = null;
      this.#send({ type: "session.update", session });
    }
  }

  #lose() {
    this.#push?.drop();
    this.#conversation.lost();
    this.#page.move("lost");
  }

  #receive(event) {
    this.#page.log("server", event);
    this.#conversation.handle(event);
  }

  #send(event) {
    this.#page.log("client", event);
    this.#line.send(event);
  }

  #hear(pcm) {
    if (!this.#line.ready) return;
    if (this.#push) this.#push.hear(pcm);
    else this.#transmit(pcm);
  }

  #transmit(pcm) {
    this.#sound.keep(pcm);
    this.#line.sendAudio(pcm);
  }

  #move(event) {
    if (this.#closed) return; // a promise of the player that resolves late
    this.#page.move(event);
    if (event === "ready") {
      this.#line.open();
      if (!this.#sound.isRunning) this.#followSound();
    }
    if (this.#muted && this.#line.ready) this.#page.move("muted"); // rests there, not at listening
  }

  // A phone call, a locked screen or a missing click can suspend all sound of a page.
  #followSound() {
    if (this.#closed || !this.#session) return; // the first greeting looks for itself
    if (!this.#sound.isRunning) {
      this.#push?.finish();
      return this.#page.move("suspended");
    }
    this.#conversation.resumed();
    if (!this.#line.ready) this.#page.move("lost");
  }
}
