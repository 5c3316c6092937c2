import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeFrame, encodeFrame, HEADER_BYTES } from "../../static/frame.js";

test("a frame survives the way over the wire", () => {
  const frame = {
    responseNumber: 4_000_000_000,
    offsetSamples: 123_456,
    samples: Int16Array.of(0, 1, -1, 32767, -32768),
  };
  assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
});

test("the header is little-endian and twelve bytes long", () => {
  const buffer = encodeFrame({ responseNumber: 1, offsetSamples: 258, samples: Int16Array.of(-2) });
  assert.deepEqual([...new Uint8Array(buffer)], [1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0, 0xfe, 0xff]);
});

test("a frame may be empty, and half a sample is left out", () => {
  const empty = encodeFrame({ responseNumber: 1, offsetSamples: 0, samples: new Int16Array(0) });
  assert.equal(empty.byteLength, HEADER_BYTES);
  assert.equal(decodeFrame(empty).samples.length, 0);
  const odd = new Uint8Array(HEADER_BYTES + 3);
  odd[0] = 1;
  assert.equal(decodeFrame(odd.buffer).samples.length, 1);
});

test("what is no frame is refused", () => {
  assert.throws(() => decodeFrame(new ArrayBuffer(HEADER_BYTES - 1)), RangeError);
  const future = new Uint8Array(HEADER_BYTES);
  future[0] = 2;
  assert.throws(() => decodeFrame(future.buffer), /version 2/);
});
