// The written conversation: one line for each turn of either side. Text only ever enters through
// textContent, so nothing in a transcript is read as HTML. The oldest lines go beyond MAX_LINES.
//
// A line is busy while its words may still change. Of a reply that was cut, `unheard` is what the
// user did not hear; it is struck through, unless a later reply takes it up.

import { make } from "./dom.js";
import { goesOn, split } from "./heard.js";
import { NOTES, SPEAKERS } from "./strings.js";

const MAX_LINES = 500;
const NEAR_END_PX = 80;

export class Transcript {
  #panel;
  #list;
  #lines = new Map(); // item id -> {who, item, text, note, whole, unheard}, in order
  #following = true; // the newest line is kept in sight, until the reader scrolls up

  /** The panel scrolls; the list in it receives the lines. */
  constructor(panel, list) {
    this.#panel = panel;
    this.#list = list;
    panel.addEventListener("scroll", () => (this.#following = this.#isAtEnd()));
    new ResizeObserver(() => this.#follow()).observe(panel);
  }

  /** A new conversation: the server remembers nothing of the one before. */
  clear() {
    this.#lines.clear();
    this.#list.replaceChildren();
  }

  /** No more words will come: what is unfinished stays as it is, what is empty goes, unless a
   * `reason` is given that what the user said is missing. */
  settle(reason = "") {
    for (const [itemId, { who, item, whole, note }] of this.#lines) {
      item.removeAttribute("aria-busy");
      if (who === "user" && whole === "") note.textContent ||= reason;
      if (whole + note.textContent === "") this.#remove(itemId);
    }
  }

  /** What stands there, as export.js takes it. */
  get lines() {
    return [...this.#lines.values()].map(({ who, whole, unheard, note }) => ({
      who,
      text: whole.slice(0, whole.length - unheard.length),
      unheard,
      note: note.textContent,
    }));
  }

  wordsOf(itemId) {
    return this.#lines.get(itemId)?.whole ?? "";
  }

  /** The user has begun to speak; the words follow. */
  openUser(itemId) {
    this.#change(itemId, "user", () => {});
  }

  appendUser(itemId, delta) {
    this.#change(itemId, "user", (line) => write(line, line.whole + delta));
  }

  /** The final words; with none, the line goes. */
  closeUser(itemId, words) {
    if (words === "") this.#remove(itemId);
    else this.#close(itemId, "user", words);
  }

  noteUser(itemId, note) {
    this.#note(itemId, "user", note);
  }

  appendReply(itemId, delta) {
    this.#change(itemId, "reply", (line) => write(line, line.whole + delta));
    this.#takeUp(itemId);
  }

  closeReply(itemId, words) {
    const isCut = this.#lines.get(itemId)?.item.classList.contains("cut");
    if (words === "" || isCut) return;
    this.#close(itemId, "reply", words);
    this.#takeUp(itemId);
  }

  /** What was heard of a cut reply; the rest is struck through. */
  trimReply(itemId, words) {
    const line = this.#lines.get(itemId);
    if (line === undefined) return;
    const [heard, unheard] = split(line.whole, words);
    if (heard + unheard === "") this.#remove(itemId);
    else this.#close(itemId, "reply", heard + unheard, unheard);
  }

  noteReply(itemId, note) {
    if (this.#lines.has(itemId)) this.#note(itemId, "reply", note);
  }

  /** The reply was cut; if nothing of it was written yet, there is nothing to mark. */
  cutReply(itemId, note) {
    if (!this.#lines.has(itemId)) return;
    this.#lines.get(itemId).item.classList.add("cut");
    this.noteReply(itemId, note);
  }

  /** The model calls a function; `given` is JSON. */
  callTool(itemId, name, given) {
    this.#close(itemId, "tool", `${name}(${given})`);
  }

  // The interruption was none, and this reply says what the last one had left to say.
  #takeUp(itemId) {
    const replies = [...this.#lines].filter(([, { who }]) => who === "reply");
    const place = replies.findIndex(([id]) => id === itemId);
    const before = replies[place - 1]?.[1];
    if (!before?.unheard || !goesOn(before.unheard, replies[place][1].whole)) return;
    write(before, before.whole.slice(0, before.whole.length - before.unheard.length));
    before.note.textContent = NOTES.resumed;
  }

  #close(itemId, who, words, unheard = "") {
    this.#change(itemId, who, (line) => {
      write(line, words, unheard);
      line.item.removeAttribute("aria-busy");
    });
  }

  #note(itemId, who, note) {
    this.#change(itemId, who, (line) => {
      line.note.textContent = note;
      line.item.removeAttribute("aria-busy");
    });
  }

  #change(itemId, who, edit) {
    edit(this.#lines.get(itemId) ?? this.#add(itemId, who));
    this.#follow();
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#panel;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #follow() {
    if (this.#following) this.#panel.scrollTop = this.#panel.scrollHeight;
  }

  // aria-busy: a screen reader waits for the whole line instead of reading every piece.
  #add(itemId, who) {
    const text = make(who === "tool" ? "code" : "span", { className: "text" });
    const note = make("small", { className: "note" });
    const speaker = make("strong", { className: "who", textContent: SPEAKERS[who] });
    const item = make("li", { className: `line ${who}` }, speaker, text, note);
    item.setAttribute("aria-busy", "true");
    const line = { who, item, text, note, whole: "", unheard: "" };
    this.#list.append(item);
    this.#lines.set(itemId, line);
    if (this.#lines.size > MAX_LINES) this.#remove(this.#lines.keys().next().value);
    return line;
  }

  #remove(itemId) {
    this.#lines.get(itemId)?.item.remove();
    this.#lines.delete(itemId);
  }
}

function write(line, whole, unheard = "") {
  Object.assign(line, { whole, unheard });
  line.text.textContent = whole.slice(0, whole.length - unheard.length);
  if (unheard) line.text.append(make("del", { textContent: unheard }));
}
