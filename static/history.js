// What was said so far, so that a new session can be told after the connection was lost. Pure.
// Of a reply only what was heard counts. The newest MAX_ITEMS are kept.

const MAX_ITEMS = 40;

export class History {
  #said = new Map(); // item id -> {role, pieces: [{text, from}]}, in the order of the conversation

  /** The item has its place now; its words come later. */
  open(itemId, role) {
    if (this.#said.has(itemId)) return;
    this.#said.set(itemId, { role, pieces: [] });
    if (this.#said.size > MAX_ITEMS) this.#said.delete(this.#said.keys().next().value);
  }

  /** The final words of an item, or what the server kept of a reply that was cut. */
  set(itemId, role, text) {
    this.open(itemId, role);
    this.#said.get(itemId).pieces = [{ text, from: 0 }];
  }

  /** A piece of a reply, whose audio begins `from` samples into the item's. */
  append(itemId, text, from) {
    this.open(itemId, "assistant");
    const { pieces } = this.#said.get(itemId);
    if (pieces.at(-1)?.from === from) pieces.at(-1).text += text;
    else pieces.push({ text, from });
  }

  /** A reply of `received` samples was heard as far as `played`: of the piece in which it was cut,
   * its share of whole words remains, as on the server. */
  cut(itemId, played, received) {
    const said = this.#said.get(itemId);
    if (said === undefined) return;
    said.pieces = said.pieces.map(({ text, from }, i, pieces) => {
      const to = pieces[i + 1]?.from ?? received;
      return { text: share(text, (played - from) / Math.max(1, to - from)), from };
    });
  }

  wordsOf(itemId) {
    const pieces = this.#said.get(itemId)?.pieces ?? [];
    return pieces
      .map(({ text }) => text)
      .join("")
      .trim();
  }

  /** The items for `conversation.item.create`, oldest first. */
  items() {
    return [...this.#said].flatMap(([id, { role }]) => {
      const text = this.wordsOf(id);
      const type = role === "user" ? "input_text" : "output_text";
      return text ? [{ id, type: "message", role, content: [{ type, text }] }] : [];
    });
  }
}

function share(text, part) {
  if (part >= 1) return text;
  const words = text.match(/\s*\S+/g) ?? [];
  return words.slice(0, Math.max(0, Math.floor(words.length * part))).join("");
}
