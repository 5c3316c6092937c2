// What the server says -> what is played, written and shown. Reads in the order of a turn.
//
// A reply is {number, itemId, received, live}: the response's number, its spoken item, how many
// samples of that have come, and whether anything of it may still be heard. Frames of any other
// number are stale and dropped, so nothing depends on the order of two messages.

import { SAMPLE_RATE_HZ } from "./frame.js";
import { NOTES, notices } from "./strings.js";

const NOTHING_TO_RETRIEVE = "item_retrieve_invalid_item_id";
const SESSION = { type: "realtime", audio: { input: { transcription: { model: "whisper-1" } } } };

export class Conversation {
  staleFrames = 0;
  #reply = null;
  #send;
  #player;
  #transcript;
  #move;
  #notify;

  /** send(event) to the server; move(event) of the states; notify(text) shows an error. */
  constructor({ send, player, transcript, move, notify }) {
    this.#send = send;
    this.#player = player;
    this.#transcript = transcript;
    this.#move = move;
    this.#notify = notify;
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
    reply.received = Math.max(reply.received, frame.offsetSamples + frame.samples.length);
    this.#player.play(frame);
  }

  playbackStarted(number) {
    if (this.#isLive(number)) this.#move("playbackStarted");
  }

  playbackEnded(number) {
    if (!this.#isLive(number)) return;
    this.#reply.live = false;
    this.#move("playbackEnded");
  }

  /** The browser plays audio again after a pause of its own. */
  resumed() {
    this.#move("resumed");
    if (this.#reply?.live && this.#reply.received > 0) this.#move("playbackStarted");
  }

  #handlers = {
    "session.created": () => {
      this.#send({ type: "session.update", session: SESSION });
      this.#move("ready");
    },

    "input_audio_buffer.speech_started": ({ item_id }) => {
      const audible = this.#reply?.live && this.#reply.received > 0;
      this.#cut();
      this.#transcript.openUser(item_id);
      this.#move(audible ? "interrupted" : "speechStarted");
    },
    "input_audio_buffer.speech_stopped": () => this.#move("speechStopped"),

    "conversation.item.input_audio_transcription.delta": ({ item_id, delta }) =>
      this.#transcript.appendUser(item_id, delta),
    "conversation.item.input_audio_transcription.completed": ({ item_id, transcript }) => {
      this.#transcript.closeUser(item_id, transcript.trim());
      if (transcript.trim() === "") this.#dropTurn();
    },
    "conversation.item.input_audio_transcription.failed": ({ item_id }) => {
      this.#transcript.noteUser(item_id, NOTES.untranscribed);
      this.#dropTurn();
    },

    "response.created": ({ response_number }) => {
      this.#reply = { number: response_number, itemId: null, received: 0, live: true };
      this.#move("replyCreated");
    },
    "response.output_item.added": ({ item }) => {
      if (item.type === "message" && this.#reply !== null) this.#reply.itemId = item.id;
    },
    "response.output_audio_transcript.delta": ({ item_id, delta }) =>
      this.#transcript.appendReply(item_id, delta),
    "response.output_audio_transcript.done": ({ item_id, transcript }) =>
      this.#transcript.closeReply(item_id, transcript),
    "response.output_audio.done": () => this.#player.end(this.#reply?.number),
    "response.done": ({ response }) => this.#finish(response),

    // After a cut the server shortens its item to what was heard; the page shows the same.
    "conversation.item.truncated": ({ item_id }) =>
      this.#send({ type: "conversation.item.retrieve", item_id }),
    "conversation.item.retrieved": ({ item }) =>
      this.#transcript.trimReply(item.id, item.content?.[0]?.transcript ?? ""),

    error: ({ error }) => {
      if (error.code === NOTHING_TO_RETRIEVE) return;
      this.#notify(notices.serverError(error));
      this.#dropTurn();
    },
  };

  // Silence at once; the server learns how much of the reply was heard.
  #cut() {
    const reply = this.#reply;
    if (!reply?.live) return;
    reply.live = false;
    this.#player.flush(reply.number).then((played) => this.#truncate(reply, played));
    if (reply.itemId !== null) this.#transcript.cutReply(reply.itemId, NOTES.cut);
  }

  #truncate({ itemId, received }, played) {
    if (itemId === null || played >= received) return;
    this.#send({
      type: "conversation.item.truncate",
      item_id: itemId,
      content_index: 0,
      audio_end_ms: Math.floor((played * 1000) / SAMPLE_RATE_HZ),
    });
  }

  #finish({ status, status_details }) {
    const reply = this.#reply;
    if (!reply?.live) return; // cut before, by the user
    if (status === "failed") this.#notify(notices.replyFailed(status_details?.error?.message));
    if (status === "incomplete") this.#transcript.noteReply(reply.itemId, NOTES.incomplete);
    if (status === "cancelled") {
      this.#cut();
      this.#move("playbackEnded");
    } else if (reply.received > 0) {
      this.#player.end(reply.number); // the state changes when it has been heard
    } else {
      reply.live = false;
      this.#move("turnDropped");
    }
  }

  // After an empty or failed transcript no reply comes, unless one is under way for another turn.
  #dropTurn() {
    if (!this.#reply?.live) this.#move("turnDropped");
  }

  #isLive(number) {
    return this.#reply?.live && this.#reply.number === number;
  }
}
