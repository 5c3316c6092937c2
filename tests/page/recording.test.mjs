import assert from "node:assert/strict";
import { test } from "node:test";

import { Recording } from "../../static/recording.js";

const RATE_HZ = 24_000;
const CHUNK = 480;
const chunk = (value, samples = CHUNK) => new Int16Array(samples).fill(value);
const shape = (blocks) => blocks.map(({ startSample, pcm }) => [startSample, pcm.length]);

test("the microphone is one stretch, however unevenly its messages come", () => {
  const recording = new Recording();
  for (let i = 1; i <= 50; i++) recording.hearUser(chunk(i), i * CHUNK + (i % 7) * 100);
  const { user } = recording.all();
  assert.deepEqual(shape(user), [[100, 50 * CHUNK]]);
  assert.equal(user[0].pcm[10 * CHUNK], 11);
});

test("what was not sent is a gap", () => {
  const recording = new Recording();
  recording.hearUser(chunk(1), CHUNK);
  recording.hearUser(chunk(2), 10 * RATE_HZ);
  assert.deepEqual(shape(recording.all().user), [
    [0, CHUNK],
    [10 * RATE_HZ - CHUNK, CHUNK],
  ]);
});

test("a reply lies where it was heard, as far as it was heard", () => {
  const recording = new Recording();
  for (let i = 0; i < 150; i++) recording.hearReply(1, chunk(i, 2400)); // 15 s
  assert.deepEqual(recording.all().reply, [], "not heard yet");
  recording.started(1, 5_000);
  recording.started(1, 9_000); // after a pause of the browser
  assert.deepEqual(shape(recording.all().reply), [
    [5_000, 240_000],
    [245_000, 120_000],
  ]);
  recording.ended(1, 250_000);
  const { reply } = recording.all();
  assert.deepEqual(shape(reply), [
    [5_000, 240_000],
    [245_000, 10_000],
  ]);
  assert.equal(reply[1].pcm[0], 100);
});

test("a reply of which nothing was heard leaves nothing, also for the next of its number", () => {
  const recording = new Recording();
  recording.hearReply(1, chunk(1));
  recording.ended(1, 0);
  recording.hearReply(1, chunk(2));
  recording.started(1, 0);
  recording.ended(1);
  const { reply } = recording.all();
  assert.deepEqual(shape(reply), [[0, CHUNK]]);
  assert.equal(reply[0].pcm[0], 2);
});

test("half an hour of answers alone is kept, too", () => {
  const recording = new Recording();
  const minute = chunk(1, 60 * RATE_HZ);
  for (let i = 1; i <= 40; i++) {
    recording.hearReply(i, minute);
    recording.started(i, i * minute.length);
    recording.ended(i);
  }
  const { reply, forgotten } = recording.all();
  assert.equal(forgotten, true);
  const seconds = reply.reduce((sum, { pcm }) => sum + pcm.length, 0) / RATE_HZ;
  assert.ok(seconds >= 1800 && seconds <= 1870, `${seconds} s`);
});

test("half an hour is kept; then the oldest goes, and that is said", () => {
  const recording = new Recording();
  recording.hearReply(1, chunk(1));
  recording.started(1, 0);
  recording.ended(1);
  const minute = chunk(1, 60 * RATE_HZ);
  for (let i = 1; i <= 29; i++) recording.hearUser(minute, i * minute.length);
  assert.equal(recording.all().forgotten, false);
  assert.equal(recording.all().reply.length, 1);
  for (let i = 30; i <= 40; i++) recording.hearUser(minute, i * minute.length);
  const { user, reply, forgotten } = recording.all();
  assert.equal(forgotten, true);
  assert.equal(reply.length, 0);
  const seconds = user.reduce((sum, { pcm }) => sum + pcm.length, 0) / RATE_HZ;
  assert.ok(seconds >= 1800 && seconds <= 1810, `${seconds} s`);
});
