// What the server says -> what is played, written and shown. Reads in the order of a turn.
//
// A reply is {number, itemId, received, live, done, ...}: the response's number, its spoken item, how
// many samples of that have come, whether anything of it may still be heard, and whether the server
// is through with it. Frames of any other number are stale and dropped, so nothing depends on the
// order of two messages.

import { SAMPLE_RATE_HZ } from "./frame.js";
import { NOTES, notices } from "./strings.js";

// What was asked for has just become impossible or needless by itself.
const OVERTAKEN = ["item_retrieve_invalid_item_id", "response_cancel_not_active"];
// Failures of these stages are told again by the transcript or the response that failed.
const TOLD_TWICE = ["transcription", "reply", "voice"];
const BUSY = "conversation_already_has_active_response";

export class Conversation {
  staleFrames = 0;
  #reply = null;
  #asked = false; // for a response that the server has not begun
  #asksAgain = false; // a response was refused, as another was under way
  #to;

  /**
   * {send(event) to the server, player, transcript, history, move(event) of the states, notify(text)
   * of an error, greet(session) that tells a new session what it has to know, timing(turn), now()}
   */
  constructor(neighbours) {
    this.#to = { now: () => performance.now(), ...neighbours };
  }

  /** Acts on one server event; types that are not in the table need no action. */
  handle(event) {
    this.#handlers[event.type]?.(event);
  }

  /** Plays a frame of reply audio, if it belongs to the current reply. */
  play(frame) {
    const reply = this.#reply;
    if (!reply?.live || frame.responseNumber !== reply.number) {
      this.staleFrames += 1;
      return;
    }
    reply.arrivedAt ??= this.#to.now();
    reply.received = Math.max(reply.received, frame.offsetSamples + frame.samples.length);
    this.#to.player.play(frame);
  }

  playbackStarted(number) {
    if (!this.#isLive(number)) return;
    this.#reply.playedAt ??= this.#to.now();
    this.#to.move("playbackStarted");
    this.#tellTiming();
  }

  playbackEnded(number) {
    if (!this.#isLive(number)) return;
    this.#reply.live = false;
    this.#to.move("playbackEnded");
  }

  /** The browser plays audio again after a pause of its own. */
  resumed() {
    this.#to.move("resumed");
    if (this.#isAudible()) this.#to.move("playbackStarted");
  }

  /** The user writes instead of speaking. */
  async write(words) {
    const itemId = `item_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
    this.#to.transcript.closeUser(itemId, words);
    this.#to.history.set(itemId, "user", words);
    if (this.#isAudible()) this.#to.move("interrupted");
    this.#to.move("speechStopped");
    await this.#interrupt();
    const content = [{ type: "input_text", text: words }];
    const item = { id: itemId, type: "message", role: "user", content };
    this.#to.send({ type: "conversation.item.create", item });
    this.ask();
  }

  /** Push-to-talk: from here on, what is said is a turn. */
  press() {
    this.#to.move(this.#isAudible() ? "interrupted" : "speechStarted");
    this.#interrupt();
    this.#to.send({ type: "input_audio_buffer.clear" });
  }

  /** Push-to-talk: the turn is over; `isTurn` is false if it was too short to be one. */
  release(isTurn) {
    this.#to.move("speechStopped");
    if (isTurn) {
      this.#to.send({ type: "input_audio_buffer.commit" });
      this.ask();
    } else {
      this.#to.send({ type: "input_audio_buffer.clear" });
      this.#to.notify(notices.pressTooShort);
      this.#to.move("turnDropped");
    }
  }

  /** Asks for a response, where the server would not begin one by itself. */
  ask() {
    this.#asked = true;
    this.#to.send({ type: "response.create" });
  }

  /** The connection is gone, and with it whatever of a reply had not been heard. */
  lost() {
    this.#cut(NOTES.lost);
    this.#reply = null; // the next session counts its own
    this.#asked = this.#asksAgain = false;
    this.#to.transcript.settle(NOTES.lost);
  }

  #handlers = {
    "session.created": ({ session }) => {
      this.#to.greet(session);
      this.#to.move("ready");
    },

    "input_audio_buffer.speech_started": ({ item_id }) => {
      const audible = this.#isAudible();
      this.#cut();
      this.#to.transcript.openUser(item_id);
      this.#to.move(audible ? "interrupted" : "speechStarted");
    },
    "input_audio_buffer.speech_stopped": () => this.#to.move("speechStopped"),
    "input_audio_buffer.committed": ({ item_id }) => {
      this.#to.transcript.openUser(item_id);
      this.#to.history.open(item_id, "user");
    },

    "conversation.item.input_audio_transcription.delta": ({ item_id, delta }) =>
      this.#to.transcript.appendUser(item_id, delta),
    "conversation.item.input_audio_transcription.completed": ({ item_id, transcript }) => {
      this.#to.transcript.closeUser(item_id, transcript.trim());
      this.#to.history.set(item_id, "user", transcript.trim());
      if (transcript.trim() === "") this.#dropTurn();
    },
    "conversation.item.input_audio_transcription.failed": ({ item_id }) => {
      this.#to.transcript.noteUser(item_id, NOTES.untranscribed);
      this.#dropTurn();
    },

    "response.created": ({ response_number }) => {
      this.#asked = false;
      this.#reply = { number: response_number, itemId: null, received: 0, live: true, done: false };
      this.#to.move("replyCreated");
    },
    "response.output_item.added": ({ item }) => {
      if (item.type === "message" && this.#reply !== null) this.#reply.itemId = item.id;
    },
    "response.output_audio_transcript.delta": ({ item_id, delta }) => {
      this.#to.transcript.appendReply(item_id, delta);
      this.#to.history.append(item_id, delta, this.#reply?.received ?? 0); // its audio follows
    },
    "response.output_audio_transcript.done": ({ item_id, transcript }) =>
      this.#to.transcript.closeReply(item_id, transcript),
    "response.function_call_arguments.done": (call) =>
      this.#to.transcript.callTool(call.item_id, call.name, call.arguments),
    "response.output_audio.done": () => this.#to.player.end(this.#reply?.number),
    "response.done": ({ response }) => this.#finish(response),

    // After a cut the server shortens its item to what was heard; the page shows the same.
    "conversation.item.truncated": ({ item_id }) =>
      this.#to.send({ type: "conversation.item.retrieve", item_id }),
    "conversation.item.retrieved": ({ item }) => {
      const heard = item.content?.[0]?.transcript ?? "";
      this.#to.transcript.trimReply(item.id, heard);
      this.#to.history.set(item.id, "assistant", heard);
    },

    "banter.turn.timing": (event) => {
      if (event.response_number !== this.#reply?.number) return;
      this.#reply.timing = event;
      this.#tellTiming();
    },

    "banter.session.warning": (event) => this.#to.notify(notices.endsSoon(event)),

    error: ({ error }) => {
      if (OVERTAKEN.includes(error.code) || TOLD_TWICE.includes(error.stage)) return;
      this.#asksAgain ||= error.code === BUSY;
      if (error.code === BUSY) return;
      this.#asked = false;
      this.#to.notify(notices.serverError(error));
      this.#dropTurn();
    },
  };

  // By hand: the server does not notice by itself that it should stop.
  #interrupt() {
    const reply = this.#reply;
    const comes = this.#asked || (reply?.live && !reply.done);
    if (comes) this.#to.send({ type: "response.cancel" });
    this.#asked = this.#asksAgain = false;
    return this.#cut();
  }

  // Silence at once; the server learns how much of the reply was heard.
  async #cut(note = NOTES.cut) {
    const reply = this.#reply;
    if (!reply?.live) return;
    reply.live = false;
    const flushed = this.#to.player.flush(reply.number);
    const { itemId } = reply;
    if (itemId === null) return;
    this.#to.transcript.cutReply(itemId, note);
    const played = await flushed;
    this.#to.history.cut(itemId, played, reply.received);
    this.#to.transcript.trimReply(itemId, this.#to.history.wordsOf(itemId));
    if (reply.done && played >= reply.received) return; // else more may be on its way
    const audio_end_ms = Math.floor((played * 1000) / SAMPLE_RATE_HZ);
    const where = { item_id: itemId, content_index: 0, audio_end_ms };
    this.#to.send({ type: "conversation.item.truncate", ...where });
  }

  #finish({ status, status_details }) {
    const reply = this.#reply;
    if (reply) reply.done = true;
    if (this.#asksAgain) this.ask();
    this.#asksAgain = false;
    if (!reply?.live) return; // cut before, by the user
    if (status === "failed") this.#to.notify(notices.replyFailed(status_details?.error?.message));
    if (status === "incomplete") this.#to.transcript.noteReply(reply.itemId, NOTES.incomplete);
    if (status === "cancelled") {
      this.#cut();
      this.#to.move("playbackEnded");
    } else if (reply.received > 0) {
      this.#to.player.end(reply.number); // the state changes when it has been heard
    } else {
      reply.live = false;
      this.#to.move("turnDropped");
    }
  }

  // After an empty or failed transcript no reply comes, unless one is under way for another turn.
  #dropTurn() {
    if (!this.#reply?.live) this.#to.move("turnDropped");
  }

  #tellTiming() {
    const { timing, arrivedAt, playedAt, told } = this.#reply;
    if (!timing || told || (timing.audio_ms !== null && playedAt === undefined)) return;
    this.#reply.told = true;
    this.#to.timing(timesOf(timing, playedAt - arrivedAt));
  }

  #isAudible() {
    return this.#reply?.live && this.#reply.received > 0;
  }

  #isLive(number) {
    return this.#reply?.live && this.#reply.number === number;
  }
}

// The server's clock ends where the first audio was sent; the page's begins where it came, which is
// about the same moment.
function timesOf(event, bufferedMs) {
  return {
    itemId: event.item_id,
    responseId: event.response_id,
    decision: event.decision_ms,
    transcript: event.transcript_ms,
    text: event.text_ms,
    audio: event.audio_ms,
    played: event.audio_ms === null ? null : event.audio_ms + bufferedMs,
    speculated: event.speculated,
  };
}
