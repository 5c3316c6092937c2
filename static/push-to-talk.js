// Push-to-talk: the hand says what a turn is. Pure; time is samples of microphone audio.

import { SAMPLE_RATE_HZ } from "./frame.js";

const LEAST_SAMPLES = SAMPLE_RATE_HZ / 10; // the server takes no less
const TAIL_SAMPLES = SAMPLE_RATE_HZ / 10; // still on its way from the microphone at the release

export class PushToTalk {
  #held = false;
  #samples = 0; // heard while held
  #tail = 0; // still to be heard after the release
  #handlers;

  /** Handlers: onPress(), onAudio(pcm), and at the end onTurn(), or onShort() if it was too short. */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  hold(held) {
    if (held === this.#held) return;
    this.#held = held;
    const goesOn = this.#tail > 0; // pressed again at once
    this.#tail = held ? 0 : TAIL_SAMPLES;
    if (!held || goesOn) return;
    this.#samples = 0;
    this.#handlers.onPress();
  }

  /** An ArrayBuffer of PCM16 from the microphone. */
  hear(pcm) {
    if (!this.#held && this.#tail === 0) return;
    this.#handlers.onAudio(pcm);
    const count = pcm.byteLength / 2;
    if (this.#held) this.#samples += count;
    else this.#tail = Math.max(0, this.#tail - count);
    if (!this.#held && this.#tail === 0) this.#end();
  }

  /** Ends a turn in progress at once: no more sound will come. */
  finish() {
    if (!this.#held && this.#tail === 0) return;
    this.drop();
    this.#end();
  }

  /** Forgets a turn in progress: the connection it went over is gone. */
  drop() {
    this.#held = false;
    this.#tail = 0;
  }

  #end() {
    if (this.#samples < LEAST_SAMPLES) this.#handlers.onShort();
    else this.#handlers.onTurn();
  }
}
