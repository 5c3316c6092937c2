// The waterfall's numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bars, figures, quantile, scaleEnd, total } from "../../static/latency.js";

const PLAIN = { decision: 260, transcript: 310, text: 420, audio: 600, played: 680 };

test("a quantile lies between the two nearest values", () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([7], 0.95), 7);
  assert.equal(quantile([30, 10, 20], 0.5), 20);
  assert.equal(quantile([10, 20], 0.5), 15);
  assert.equal(quantile([0, 100], 0.95), 95);
});

test("the session's figures leave out what did not happen", () => {
  assert.deepEqual(figures([], "played"), { median: null, p95: null });
  const turns = [100, null, 300].map((played) => ({ ...PLAIN, played }));
  assert.deepEqual(figures(turns, "played"), { median: 200, p95: 290 });
  assert.deepEqual(figures(turns, "decision"), { median: 260, p95: 260 });
});

test("each bar begins where the one before ended", () => {
  assert.deepEqual(bars(PLAIN), [
    { stage: "decision", from: 0, to: 260 },
    { stage: "transcript", from: 260, to: 310 },
    { stage: "text", from: 310, to: 420 },
    { stage: "audio", from: 420, to: 600 },
    { stage: "played", from: 600, to: 680 },
  ]);
});

test("what was made ahead of the decision has a bar of no length, what is missing none", () => {
  const early = { decision: 260, transcript: -40, text: 200, audio: 300, played: null };
  assert.deepEqual(bars(early), [
    { stage: "decision", from: 0, to: 260 },
    { stage: "transcript", from: 0, to: 0 },
    { stage: "text", from: 200, to: 200 },
    { stage: "audio", from: 260, to: 300 },
  ]);
  assert.equal(total(early), 300);
  assert.equal(total(PLAIN), 680);
});

test("a scale ends at a round number that holds all", () => {
  assert.equal(scaleEnd([]), 250);
  assert.equal(scaleEnd([null, 680]), 1000);
  assert.equal(scaleEnd([1000]), 1000);
  assert.equal(scaleEnd([1001]), 2000);
  assert.equal(scaleEnd([2100, 90]), 2500);
});
