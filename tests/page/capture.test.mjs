import assert from "node:assert/strict";
import { test } from "node:test";

import { Capture } from "../../static/capture.js";
import { floatToPcm16, pcm16ToFloat } from "../../static/pcm.js";

const quantum = (value) => new Float32Array(128).fill(value);

function chunksOf(capture, channels, seconds, rateHz) {
  const chunks = [];
  for (let i = 0; i < (seconds * rateHz) / 128; i++) chunks.push(...capture.push(channels));
  return chunks;
}

for (const rateHz of [24000, 44100, 48000]) {
  test(`a second at ${rateHz} Hz becomes about fifty chunks of 20 ms`, () => {
    const chunks = chunksOf(new Capture(rateHz), [quantum(0.5)], 1, rateHz);
    assert.ok(chunks.length === 49 || chunks.length === 50, `${chunks.length} chunks`);
    assert.ok(chunks.every(({ pcm }) => pcm.length === 480));
    assert.ok(Math.abs(chunks.at(-1).level - 0.5) < 1e-3);
    assert.ok(Math.abs(chunks.at(-1).pcm[0] - 16384) < 20);
  });
}

test("stereo is mixed to mono", () => {
  const [chunk] = chunksOf(new Capture(24000), [quantum(0.5), quantum(-0.5)], 0.02, 24000);
  assert.equal(chunk.level, 0);
});

test("samples outside the range are clipped and do not wrap around", () => {
  assert.deepEqual(floatToPcm16(Float32Array.of(2, -2, 0)), Int16Array.of(32767, -32767, 0));
  assert.deepEqual(pcm16ToFloat(Int16Array.of(-32768, 16384)), Float32Array.of(-1, 0.5));
});
