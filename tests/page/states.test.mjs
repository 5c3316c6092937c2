import assert from "node:assert/strict";
import { test } from "node:test";

import { INITIAL, next, STATES } from "../../static/states.js";
import { STATE_WORDS } from "../../static/strings.js";

const FROM_OUTSIDE = [
  "ready",
  "speechStarted",
  "speechStopped",
  "replyCreated",
  "playbackStarted",
  "playbackEnded",
  "interrupted",
  "turnDropped",
  "suspended",
  "resumed",
  "muted",
  "unmuted",
  "lost",
  "stop",
];

const follow = (...events) => events.reduce(next, INITIAL);

test("a turn goes from listening to listening", () => {
  assert.equal(follow("start"), "connecting");
  assert.equal(follow("start", "ready"), "listening");
  assert.equal(follow("start", "ready", "speechStarted"), "hearing");
  assert.equal(follow("start", "ready", "speechStarted", "speechStopped"), "thinking");
  const reply = ["start", "ready", "speechStarted", "speechStopped", "replyCreated"];
  assert.equal(follow(...reply, "playbackStarted"), "speaking");
  assert.equal(follow(...reply, "playbackStarted", "playbackEnded"), "listening");
  assert.equal(follow(...reply, "playbackStarted", "interrupted"), "interrupted");
  assert.equal(follow(...reply, "turnDropped"), "listening");
  assert.equal(follow(...reply, "stop"), "idle");
});

test("with the microphone off a reply is still spoken, and listening is resting muted", () => {
  const begun = ["start", "ready", "muted"];
  assert.equal(follow(...begun), "muted");
  assert.equal(follow(...begun, "speechStopped", "replyCreated"), "thinking");
  assert.equal(follow(...begun, "replyCreated", "playbackStarted", "muted"), "speaking");
  assert.equal(follow(...begun, "unmuted"), "listening");
});

test("a lost connection is waited for from any state, and is left by the greeting", () => {
  const live = STATES.filter((name) => !["idle", "connecting", "paused"].includes(name));
  for (const state of live) assert.equal(next(state, "lost"), "reconnecting");
  for (const event of FROM_OUTSIDE.filter(
    (name) => !["ready", "stop", "suspended"].includes(name),
  )) {
    assert.equal(next("reconnecting", event), "reconnecting", event);
  }
  assert.equal(next("reconnecting", "ready"), "listening");
  assert.equal(next("paused", "lost"), "paused", "the button has to be pressed first");
});

test("what comes from outside has an answer in every state of a conversation", () => {
  for (const state of STATES.filter((name) => name !== "idle" && name !== "connecting")) {
    for (const event of FROM_OUTSIDE) assert.ok(STATES.includes(next(state, event)));
  }
});

test("an impossible pair raises", () => {
  assert.throws(() => next("idle", "speechStarted"), /speechStarted in state idle/);
  assert.throws(() => next("speaking", "start"));
  assert.throws(() => next("nowhere", "start"));
});

test("every state has words", () => {
  assert.deepEqual(Object.keys(STATE_WORDS).sort(), [...STATES].sort());
});
