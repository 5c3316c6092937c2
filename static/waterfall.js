// The latency panel: the session's figures, a chart over the turns, and each turn as a waterfall.
// Bars are for the eye; every number also stands in a table.

import { draw, make } from "./dom.js";
import { bars, figures, STAGES, scaleEnd, total } from "./latency.js";
import { LATENCY } from "./strings.js";

const SHOWN_TURNS = 30;
const CHART = { width: 320, height: 96, left: 8, top: 8, bottom: 88 };

const milliseconds = (value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : "–");

export class Waterfall {
  #root;
  #turns; // oldest first; the page adds to it
  #words; // item id -> what the user said

  constructor(root, turns, wordsOf) {
    this.#root = root;
    this.#turns = turns;
    this.#words = wordsOf;
  }

  show() {
    const list = this.#turns;
    if (list.length === 0) {
      this.#root.replaceChildren(make("p", { className: "soft", textContent: LATENCY.none }));
      return;
    }
    const recent = list.slice(-SHOWN_TURNS);
    const end = scaleEnd(recent.flatMap((turn) => STAGES.map((stage) => turn[stage])));
    const first = list.length - recent.length + 1;
    const shown = recent.map((turn, i) => this.#turn(turn, first + i, end)).reverse();
    const legend = make("p", { className: "soft", textContent: LATENCY.legend });
    const chart = this.#chart(recent);
    this.#root.replaceChildren(this.#headline(), chart, legend, this.#stages(), ...shown);
  }

  #headline() {
    const { median, p95 } = figures(this.#turns, "played");
    const figure = (value, name) =>
      make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }));
    return make(
      "dl",
      { className: "figures" },
      figure(milliseconds(median), LATENCY.median),
      figure(milliseconds(p95), LATENCY.p95),
      figure(String(this.#turns.length), LATENCY.turns),
    );
  }

  #chart(recent) {
    const { width, height, left, top, bottom } = CHART;
    const end = scaleEnd(recent.map(total));
    const y = (value) => bottom - ((bottom - top) * Math.min(value, end)) / end;
    const step = (width - left) / Math.max(12, recent.length);
    const columns = recent.map((turn, i) => {
      const at = y(total(turn) ?? 0);
      const [x, wide] = [left + i * step + step * 0.15, step * 0.7];
      return draw("rect", { x, y: at, width: wide, height: bottom - at, rx: 2 });
    });
    const lines = Object.entries(figures(this.#turns, "played"))
      .filter(([, value]) => value !== null)
      .map(([name, value]) =>
        draw("line", { class: name, x1: 0, x2: width, y1: y(value), y2: y(value) }),
      );
    const label = LATENCY.chart(recent.map((turn) => milliseconds(total(turn))));
    const box = { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" };
    return draw("svg", { ...box, "aria-label": label }, ...columns, ...lines);
  }

  #stages() {
    const head = make("tr", {}, ...LATENCY.columns.map((text) => header("col", text)));
    const rows = STAGES.map((stage) => {
      const { median, p95 } = figures(this.#turns, stage);
      return make("tr", {}, header("row", LATENCY.stages[stage]), cell(median), cell(p95));
    });
    return make(
      "table",
      { className: "stages" },
      make("thead", {}, head),
      make("tbody", {}, ...rows),
    );
  }

  #turn(turn, number, end) {
    const title = make("caption", {}, LATENCY.turn(number, milliseconds(total(turn))));
    const words = this.#words(turn.itemId);
    if (words) title.append(make("q", { textContent: words }));
    if (turn.speculated) title.append(make("small", { textContent: LATENCY.speculated }));
    const rows = bars(turn).map(({ stage, from, to }) => {
      const bar = make("i", { className: stage });
      bar.style.setProperty("--from", `${(100 * from) / end}%`);
      bar.style.setProperty("--long", `${(100 * (to - from)) / end}%`);
      const track = make("td", { className: "track" }, bar);
      return make("tr", {}, header("row", LATENCY.stages[stage]), track, cell(turn[stage]));
    });
    return make("table", { className: "turn" }, title, make("tbody", {}, ...rows));
  }
}

const header = (scope, textContent) => make("th", { scope, textContent });
const cell = (value) => make("td", { className: "ms", textContent: milliseconds(value) });
