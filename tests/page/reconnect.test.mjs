import assert from "node:assert/strict";
import { test } from "node:test";

import { comesBack, waitMs } from "../../static/reconnect.js";

test("the waits grow from half a second to fifteen, and differ between pages", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6].map((attempt) => waitMs(attempt, 0, () => 1));
  assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  const shortest = [0, 1, 2, 9].map((attempt) => waitMs(attempt, 0, () => 0));
  assert.deepEqual(shortest, [500, 500, 1000, 7500]);
});

test("a server that names a time is not asked before", () => {
  assert.equal(waitMs(0, 10), 10_000);
  assert.equal(
    waitMs(5, 1, () => 1),
    15_000,
  );
});

test("a connection that broke comes back; one that was ended or refused does not", () => {
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013]) {
    assert.ok(comesBack({ code, opened: true }), `${code}`);
  }
  for (const code of [1000, 1008, 1009]) assert.ok(!comesBack({ code, opened: true }), `${code}`);
});

test("a server that is away, full or starting is asked again; a wrong key is not", () => {
  const close = { code: 1006, opened: false };
  for (const status of ["saturated", "draining", "starting", "ready"]) {
    assert.ok(comesBack(close, { status }), status);
  }
  assert.ok(comesBack(close, null));
  for (const status of ["key", "origin"]) assert.ok(!comesBack(close, { status }), status);
});
