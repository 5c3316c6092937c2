// The written conversation: one line for each turn of either side. Text only ever enters through
// textContent, so nothing in a transcript is read as HTML. The oldest lines go beyond MAX_LINES.

import { SPEAKERS } from "./strings.js";

const MAX_LINES = 200;
const NEAR_END_PX = 80;

export class Transcript {
  #panel;
  #list;
  #lines = new Map(); // item id -> {item, text, note}, in the order of the conversation
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

  /** No more words will come: what is unfinished stays as it is, what is empty goes. */
  settle() {
    for (const [itemId, { item, text, note }] of this.#lines) {
      item.removeAttribute("aria-busy");
      if (text.textContent + note.textContent === "") this.#remove(itemId);
    }
  }

  /** The user has begun to speak; the words follow. */
  openUser(itemId) {
    this.#change(itemId, "user", () => {});
  }

  appendUser(itemId, delta) {
    this.#change(itemId, "user", ({ text }) => (text.textContent += delta));
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
    this.#change(itemId, "reply", ({ text }) => (text.textContent += delta));
  }

  closeReply(itemId, words) {
    const isCut = this.#lines.get(itemId)?.item.classList.contains("cut");
    if (words !== "" && !isCut) this.#close(itemId, "reply", words);
  }

  /** What was heard of a cut reply; with nothing heard, the line goes. */
  trimReply(itemId, words) {
    if (words === "") this.#remove(itemId);
    else if (this.#lines.has(itemId)) this.#close(itemId, "reply", words);
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

  #close(itemId, who, words) {
    this.#change(itemId, who, (line) => {
      line.text.textContent = words;
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
    const item = element("li", `line ${who}`);
    item.setAttribute("aria-busy", "true");
    const line = { item, text: element("span", "text"), note: element("small", "note") };
    const speaker = element("strong", "who");
    speaker.textContent = SPEAKERS[who];
    item.append(speaker, line.text, line.note);
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

function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
