// What is copied and downloaded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asJson, asText, fileName } from "../../static/export.js";

const LINES = [
  { who: "user", text: "How far is it?", unheard: "", note: "" },
  { who: "tool", text: "distance({})", unheard: "", note: "" },
  { who: "reply", text: "Well,", unheard: " it depends.", note: "interrupted" },
  { who: "user", text: "", unheard: "", note: "This could not be transcribed." },
];

test("as text: one line each, with what was not heard apart", () => {
  assert.equal(
    asText(LINES),
    "You: How far is it?\nTool: distance({})\nBanter: Well, [not heard: it depends.]\n" +
      "You:  (This could not be transcribed.)\n",
  );
  assert.equal(asText([]), "");
});

test("as JSON: the lines, the turns' times and what is known of the whole", () => {
  const read = JSON.parse(asJson(LINES, [{ played: 680 }], { model: "banter" }));
  assert.deepEqual(read, { model: "banter", lines: LINES, latency: [{ played: 680 }] });
});

test("files sort by their time", () => {
  assert.equal(fileName(new Date(2026, 0, 5, 9, 4), "wav"), "banter-2026-01-05-0904.wav");
});
