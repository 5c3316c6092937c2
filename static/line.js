// The line to the server: one connection, and after a loss another one, until the server is back or
// too much time has passed. It knows when to wait for whom, and nothing of what is said.

import { askRefusal, Connection, socketUrl } from "./connection.js";
import { comesBack, GIVE_UP_MS, waitMs } from "./reconnect.js";
import { closeNotice, notices } from "./strings.js";

const GREETING_TIMEOUT_MS = 15_000;
const WORTH_SAYING_MS = 2_500; // of a wait; shorter ones the state tells well enough

export class Line {
  ready = false; // the server has greeted
  #key;
  #handlers;
  #connection = null;
  #timer = null; // until the greeting, or until the next attempt
  #loss = null; // {at, attempts, waits, told} while there is no server
  #listeners = new AbortController();

  /**
   * Handlers: onEvent(event) and onFrame(frame) from the server; onLost() while it is called again;
   * onNotice(text) of that, "" when it is over; at the end onFail(text), or onKey(text) if the server
   * wants another key.
   */
  constructor(key, handlers) {
    this.#key = key;
    this.#handlers = handlers;
    const { signal } = this.#listeners;
    window.addEventListener("offline", () => this.#doubt(), { signal });
    window.addEventListener("online", () => this.#loss?.waits && this.call(), { signal });
  }

  get sentChunks() {
    return this.#connection?.sentChunks ?? 0;
  }

  get droppedChunks() {
    return this.#connection?.droppedChunks ?? 0;
  }

  call() {
    clearTimeout(this.#timer);
    if (this.#loss) this.#loss.waits = false;
    const { onEvent, onFrame } = this.#handlers;
    const onClose = (close) => this.#explain(close);
    this.#connection = new Connection(socketUrl(location), this.#key, {
      onEvent,
      onFrame,
      onClose,
    });
    this.#timer = setTimeout(() => this.#missGreeting(), GREETING_TIMEOUT_MS);
  }

  /** The server has greeted. */
  open() {
    clearTimeout(this.#timer);
    this.ready = true;
    if (this.#loss?.told) this.#handlers.onNotice("");
    this.#loss = null;
  }

  send(event) {
    this.#connection.send(event);
  }

  sendAudio(pcm) {
    this.#connection.sendAudio(pcm);
  }

  close() {
    this.ready = false;
    clearTimeout(this.#timer);
    this.#listeners.abort();
    this.#connection?.close();
    this.#connection = null;
  }

  // Without a network the browser notices late that a line is dead; one to this machine is not.
  async #doubt() {
    const gone = this.ready && (await askRefusal(this.#key)) === null;
    if (gone && this.ready) this.#connection.giveUp();
  }

  #missGreeting() {
    if (this.#loss) this.#connection.giveUp();
    else this.#handlers.onFail(notices.noGreeting);
  }

  async #explain(close) {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    if (this.ready && comesBack(close)) {
      this.#loss = { at: performance.now(), attempts: 0, waits: false, told: false };
      this.#handlers.onLost();
    }
    this.ready = false;
    const refusal = close.opened ? null : await askRefusal(this.#key);
    if (connection !== this.#connection) return; // closed, or called again, meanwhile
    if (refusal?.status === "key") this.#handlers.onKey(notices.needsKey(this.#key !== ""));
    else if (this.#loss && comesBack(close, refusal)) this.#wait(refusal);
    else this.#handlers.onFail(closeNotice(close, refusal));
  }

  #wait(refusal) {
    const loss = this.#loss;
    const ms = waitMs(loss.attempts, refusal?.retryAfterS);
    loss.attempts += 1;
    if (performance.now() + ms - loss.at > GIVE_UP_MS) {
      return this.#handlers.onFail(notices.stayedAway);
    }
    if (ms > WORTH_SAYING_MS) {
      this.#handlers.onNotice(notices.comingBack(refusal?.status, Math.round(ms / 1000)));
      loss.told = true;
    }
    loss.waits = true;
    this.#timer = setTimeout(() => this.call(), ms);
  }
}
