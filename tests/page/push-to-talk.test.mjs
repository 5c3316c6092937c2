// Stories of a button, told in chunks of 20 ms.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PushToTalk } from "../../static/push-to-talk.js";

function begin() {
  const story = [];
  const push = new PushToTalk({
    onPress: () => story.push("press"),
    onAudio: () => story.push("audio"),
    onTurn: () => story.push("turn"),
    onShort: () => story.push("short"),
  });
  const hear = (ms) => {
    for (let i = 0; i < ms / 20; i++) push.hear(new ArrayBuffer(960));
  };
  const count = (name) => story.filter((word) => word === name).length;
  return { push, story, hear, count };
}

test("sound goes out only while the button is held, and a moment longer", () => {
  const { push, story, hear, count } = begin();
  hear(200);
  assert.deepEqual(story, []);
  push.hold(true);
  hear(400);
  push.hold(false);
  hear(500);
  assert.equal(count("audio"), 25, "400 ms, and the 100 that were on their way");
  assert.equal(story[0], "press");
  assert.equal(story.at(-1), "turn", "it ends after its last sound");
  assert.equal(count("turn"), 1);
});

test("a press of less than a tenth of a second is no turn", () => {
  const { push, hear, count } = begin();
  push.hold(true);
  hear(80);
  push.hold(false);
  hear(500);
  assert.deepEqual([count("turn"), count("short")], [0, 1]);
});

test("a button that is let go for a moment goes on with the same turn", () => {
  const { push, hear, count } = begin();
  push.hold(true);
  hear(200);
  push.hold(false);
  hear(40);
  push.hold(true);
  hear(200);
  push.hold(false);
  hear(200);
  assert.deepEqual([count("press"), count("turn"), count("audio")], [1, 1, 27]);
});

test("a key that repeats is one press", () => {
  const { push, count } = begin();
  push.hold(true);
  push.hold(true);
  assert.equal(count("press"), 1);
});

test("a turn ends at once where no more sound will come, held or in its last moment", () => {
  for (const held of [true, false]) {
    const { push, hear, count } = begin();
    push.finish();
    push.hold(true);
    hear(200);
    push.hold(held);
    push.finish();
    assert.deepEqual([count("turn"), count("short")], [1, 0]);
    push.hold(false); // the hand lets go later
    hear(200);
    push.finish();
    assert.deepEqual([count("turn"), count("audio")], [1, 10]);
    push.hold(true);
    assert.equal(count("press"), 2, "the next one is another turn");
  }
});

test("a turn that is dropped never ends, and the next one begins anew", () => {
  const { push, hear, count } = begin();
  push.hold(true);
  hear(200);
  push.drop();
  hear(400);
  assert.deepEqual([count("turn"), count("audio")], [0, 10]);
  push.hold(true);
  hear(200);
  push.hold(false);
  hear(200);
  assert.deepEqual([count("press"), count("turn")], [2, 1]);
});
