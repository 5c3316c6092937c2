// Whether the microphone hears the loudspeaker, in spite of the browser's echo cancellation. Pure.
//
// The loudness of both, in steps of two chunks of the microphone, rises and falls together then, the
// microphone's some steps later: for each such delay a running correlation. Somebody who talks over
// a reply is loud at other moments; a quiet room does not follow at all.

const STEP_MS = 40;
const DELAYS = 13; // up to 480 ms, as over Bluetooth
const FLOOR_DB = -60;
const PLAYING_DB = -45;
const HEARD_DB = -50; // on average; fainter echo interrupts nothing
const MEMORY = 0.995; // of a step's weight one step later
const LEAST_STEPS = 150; // 6 s of replies
const SURE = 0.7;

export class EchoWatch {
  #reply = { level: 0, at: -Infinity };
  #user = { power: 0, count: 0 };
  #played = new Array(DELAYS).fill(FLOOR_DB); // newest first
  #sums = Array.from({ length: DELAYS }, () => ({ n: 0, x: 0, y: 0, xx: 0, yy: 0, xy: 0 }));
  #steps = 0;
  #said = false;

  /** The level of what is played, as often as it is known. */
  hearReply(level, atMs) {
    this.#reply = { level, at: atMs };
  }

  /** The level of the microphone. True once: when the echo is sure. */
  hearUser(level, atMs) {
    const user = this.#user;
    user.power += level * level;
    user.count += 1;
    if (this.#said || user.count < 2) return false;
    this.#user = { power: 0, count: 0 };
    const playing = atMs - this.#reply.at < 2 * STEP_MS;
    this.#said = this.#step(Math.sqrt(user.power / user.count), playing ? this.#reply.level : 0);
    return this.#said;
  }

  #step(microphone, played) {
    this.#played.unshift(decibels(played));
    this.#played.length = DELAYS;
    if (Math.max(...this.#played) < PLAYING_DB) return false;
    const y = decibels(microphone);
    this.#sums.forEach((sums, delay) => add(sums, this.#played[delay], y));
    this.#steps += 1;
    return this.#steps >= LEAST_STEPS && this.#sums.some(isEcho);
  }
}

function add(sums, x, y) {
  const values = { n: 1, x, y, xx: x * x, yy: y * y, xy: x * y };
  for (const name of Object.keys(sums)) sums[name] = MEMORY * sums[name] + values[name];
}

function isEcho({ n, x, y, xx, yy, xy }) {
  const spread = Math.sqrt((xx - (x * x) / n) * (yy - (y * y) / n));
  return y / n > HEARD_DB && spread > 0 && (xy - (x * y) / n) / spread > SURE;
}

const decibels = (level) => Math.max(FLOOR_DB, 20 * Math.log10(level));
