// The conversation's sound as a file: both sides at their place in time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stereo, wav } from "../../static/wav.js";

const block = (startSample, ...samples) => ({ startSample, pcm: Int16Array.from(samples) });

test("the user is on the left, the reply on the right, silence between", () => {
  const mixed = stereo([block(10, 1, 2), block(14, 3)], [block(11, -7, -8)]);
  assert.deepEqual([...mixed], [1, 0, 2, -7, 0, -8, 0, 0, 3, 0]);
  assert.deepEqual([...stereo([], [])], []);
  assert.deepEqual([...stereo([], [block(5, 9)])], [0, 9]);
});

test("the head says what follows", async () => {
  const bytes = await new Blob(wav(Int16Array.of(1, -2, 3, -4), 2)).arrayBuffer();
  const view = new DataView(bytes);
  const text = (at, length) => String.fromCharCode(...new Uint8Array(bytes, at, length));
  assert.equal(bytes.byteLength, 52);
  assert.deepEqual([text(0, 4), text(8, 8), text(36, 4)], ["RIFF", "WAVEfmt ", "data"]);
  assert.deepEqual([view.getUint32(4, true), view.getUint32(40, true)], [44, 8]);
  assert.deepEqual([view.getUint16(22, true), view.getUint32(24, true)], [2, 24_000]);
  assert.deepEqual([view.getUint32(28, true), view.getUint16(32, true)], [96_000, 4]);
  assert.equal(view.getInt16(50, true), -4);
});
