// The button of push-to-talk: held by a pointer, or by the space bar wherever that means nothing
// else. What lets go in other ways (a call on the phone, another window) lets go here, too.

const WRITES = "input, textarea, select, summary, button, [contenteditable]";

export class Hold {
  active = false; // whether push-to-talk is on
  #button;
  #onHold;
  #held = false;

  constructor(button, onHold) {
    this.#button = button;
    this.#onHold = onHold;
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.#set(true);
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(type, () => this.#set(false));
    }
    // What presses without a pointer, as a screen reader does, cannot hold: it presses twice.
    button.addEventListener("click", ({ detail }) => detail === 0 && this.#set(!this.#held));
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
    document.addEventListener("keydown", (event) => this.#key(event, true));
    document.addEventListener("keyup", (event) => this.#key(event, false));
    window.addEventListener("blur", () => this.#set(false));
    document.addEventListener("visibilitychange", () => this.#set(false));
  }

  #key(event, down) {
    if (!this.active || event.code !== "Space") return;
    if (down && (event.ctrlKey || event.altKey || event.metaKey)) return;
    const elsewhere = event.target !== this.#button && event.target.closest?.(WRITES);
    if (elsewhere && down) return;
    if (down && document.querySelector("dialog[open]")) return;
    if (!elsewhere) event.preventDefault(); // no scrolling, no click
    this.#set(down);
  }

  #set(held) {
    if (held === this.#held || (held && !this.active)) return;
    this.#held = held;
    this.#button.classList.toggle("held", held);
    this.#onHold(held);
  }
}
