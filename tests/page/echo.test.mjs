// Is the loudspeaker heard? levels.json has the loudness of the recordings in tests/data, in dB, one
// number for each 40 ms: real voices as replies, and as what must not be taken for their echo.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { EchoWatch } from "../../static/echo.js";

const LEVELS = JSON.parse(readFileSync(new URL("levels.json", import.meta.url), "utf8"));
const VOICES = Object.keys(LEVELS).filter((name) => !name.startsWith("noise"));
const LOUD_VOICES = ["jfk", "lj001_0004", "lj001_0016", "lj001_0029", "ls_mlx"];

const linear = (db) => 10 ** (db / 20);
const times = (list, count) => Array.from({ length: count }, () => list).flat();

// The step at which the echo is sure, or -1. The microphone is given in dB too.
function firstSure(microphone, played) {
  const watch = new EchoWatch();
  return played.findIndex((db, i) => {
    watch.hearReply(linear(db), 40 * i);
    watch.hearUser(linear(microphone(i)), 40 * i);
    return watch.hearUser(linear(microphone(i)), 40 * i + 20);
  });
}

for (const [delayMs, gainDb] of [
  [40, -10],
  [160, -20],
  [480, -15],
]) {
  test(`a loudspeaker that is heard ${delayMs} ms later at ${gainDb} dB is noticed`, () => {
    for (const name of LOUD_VOICES) {
      const played = times(LEVELS[name], 3);
      const delay = delayMs / 40;
      const room = (i) => -55 + (i % 3); // faint noise
      const heard = (i) =>
        20 * Math.log10(linear((played[i - delay] ?? -90) + gainDb) + linear(room(i)));
      const step = firstSure(heard, played);
      assert.ok(step >= 149 && step < 250, `${name}: ${step}`);
    }
  });
}

test("other voices and noises over a reply are no echo, wherever they begin", () => {
  for (const name of VOICES) {
    for (const other of Object.keys(LEVELS).filter((one) => one !== name)) {
      for (let start = 0; start < LEVELS[other].length; start += 17) {
        const sound = [...LEVELS[other].slice(start), ...times(LEVELS[other], 3)];
        const step = firstSure((i) => sound[i] ?? -90, times(LEVELS[name], 3));
        assert.equal(step, -1, `${other} from ${start} over ${name}`);
      }
    }
  }
});

test("what echo cancellation leaves is too faint to matter", () => {
  const played = times(LEVELS.jfk, 4);
  assert.equal(
    firstSure((i) => (played[i - 3] ?? -90) - 40, played),
    -1,
  );
});

test("without a reply nothing is an echo", () => {
  const voice = times(LEVELS.jfk, 4);
  assert.equal(
    firstSure((i) => voice[i], times([-90], voice.length)),
    -1,
  );
});
