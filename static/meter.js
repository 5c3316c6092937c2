// The level meter: a strip of the last seconds, the user's voice upwards, the reply's downwards.
// Where the reader asked for less motion nothing scrolls: two bars show the present level.

const COLUMN_MS = 45;
const PITCH_PX = 6;
const BAR_PX = 3;
const FLOOR_DB = -48;
const CEILING_DB = -8;
const STILL_COLUMN_MS = 150;

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Meter {
  #canvas;
  #columns = []; // [{user, reply}], newest last, heights from 0 to 1
  #now = { user: 0, reply: 0 }; // loudest since the last column
  #lastColumnAt = 0;
  #request = null;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-reduced-motion: reduce)"]) {
      window.matchMedia(query).addEventListener("change", () => this.#draw());
    }
  }

  hearUser(level) {
    this.#now.user = Math.max(this.#now.user, height(level));
  }

  hearReply(level) {
    this.#now.reply = Math.max(this.#now.reply, height(level));
  }

  start() {
    this.#lastColumnAt = performance.now();
    this.#request ??= requestAnimationFrame((at) => this.#step(at));
  }

  stop() {
    cancelAnimationFrame(this.#request);
    this.#request = null;
    this.#columns = [];
    this.#now = { user: 0, reply: 0 };
    this.#draw();
  }

  #step(at) {
    const columnMs = calm.matches ? STILL_COLUMN_MS : COLUMN_MS;
    const due = Math.floor((at - this.#lastColumnAt) / columnMs);
    if (due > 0) {
      this.#lastColumnAt += due * columnMs;
      for (let i = Math.min(due, 20); i > 1; i--) this.#columns.push({ user: 0, reply: 0 });
      this.#columns.push(this.#now);
      this.#now = { user: 0, reply: 0 };
      this.#draw();
    }
    this.#request = requestAnimationFrame((next) => this.#step(next));
  }

  #draw() {
    const canvas = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    const size = { width: canvas.clientWidth, height: canvas.clientHeight };
    if (size.width === 0) return;
    canvas.width = Math.round(size.width * scale);
    canvas.height = Math.round(size.height * scale);
    const brush = canvas.getContext("2d");
    brush.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const colours = { user: colour("user"), reply: colour("reply"), rest: colour("rule") };
    if (calm.matches) this.#drawStill(brush, size, colours);
    else this.#drawStrip(brush, size, colours);
  }

  #drawStrip(brush, size, colours) {
    const count = Math.floor(size.width / PITCH_PX);
    this.#columns = this.#columns.slice(-count);
    for (let i = 0; i < count; i++) {
      const column = this.#columns[i - count + this.#columns.length] ?? { user: 0, reply: 0 };
      const x = (i + 0.5) * PITCH_PX - BAR_PX / 2;
      drawColumn(brush, x, size.height / 2, column, colours);
    }
  }

  #drawStill(brush, size, colours) {
    const { user, reply } = this.#columns.at(-1) ?? this.#now;
    const bars = [
      { share: user, colour: colours.user, y: size.height / 2 - 9 },
      { share: reply, colour: colours.reply, y: size.height / 2 + 3 },
    ];
    for (const { share, colour, y } of bars) {
      drawBar(brush, 0, y, size.width, 6, colours.rest);
      if (share > 0) drawBar(brush, 0, y, Math.max(6, size.width * share), 6, colour);
    }
  }
}

function drawColumn(brush, x, middle, { user, reply }, colours) {
  const reach = middle - 4;
  if (user === 0 && reply === 0) drawBar(brush, x, middle - 1.5, BAR_PX, 3, colours.rest);
  if (user > 0) drawBar(brush, x, middle - 1 - user * reach, BAR_PX, user * reach, colours.user);
  if (reply > 0) drawBar(brush, x, middle + 1, BAR_PX, reply * reach, colours.reply);
}

function drawBar(brush, x, y, width, barHeight, colour) {
  brush.fillStyle = colour;
  brush.beginPath();
  brush.roundRect(x, y, width, Math.max(barHeight, 2), Math.min(width, barHeight, 6) / 2);
  brush.fill();
}

// Loudness as the ear takes it: decibels between the floor and the ceiling.
function height(level) {
  const db = 20 * Math.log10(Math.max(level, 1e-6));
  return Math.max(0, Math.min(1, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
}
