// Stories of the queue before the loudspeaker, told in milliseconds of audio.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../static/playout.js";

const RATE_HZ = 24000;
const QUANTUM = 128;
const LOUD = 16384;

const samplesOf = (ms, rateHz = RATE_HZ) => Math.round((ms * rateHz) / 1000);
const speech = (ms) => new Int16Array(samplesOf(ms)).fill(LOUD);

// Renders about `ms` of output and returns it with the events on the way.
function render(playout, ms, rateHz = RATE_HZ) {
  const samples = [];
  const events = [];
  while (samples.length < samplesOf(ms, rateHz)) {
    const output = new Float32Array(QUANTUM);
    events.push(...playout.render(output));
    samples.push(...output);
  }
  return { samples, events, soundMs: (samples.filter(Boolean).length * 1000) / rateHz };
}

const names = (events) => events.map(({ type, number }) => `${type} ${number}`);

test("a reply waits for its first 60 ms and then sounds", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(40));
  assert.equal(render(playout, 50).soundMs, 0);
  playout.push(1, samplesOf(40), speech(40));
  const { events, samples } = render(playout, 20);
  assert.deepEqual(names(events), ["started 1"]);
  assert.equal(samples[0], 0.5);
});

test("a reply shorter than that sounds once it is whole", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(20));
  playout.end(1);
  const { events, soundMs } = render(playout, 100);
  assert.deepEqual(names(events), ["started 1", "drained 1"]);
  assert.equal(soundMs, 20);
  assert.deepEqual(playout.position, { number: 1, samples: samplesOf(20) });
  assert.equal(playout.underruns, 0);
});

test("a flush silences within one quantum, fades, and says what was played", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(500));
  const { samples } = render(playout, 100);
  assert.equal(playout.flush(1), samples.length);
  const after = render(playout, 100).samples;
  assert.ok(after.slice(64).every((sample) => sample === 0));
  const steps = after.slice(0, 64).map((sample, i) => Math.abs(sample - (after[i - 1] ?? 0.5)));
  assert.ok(Math.max(...steps) < 0.02, "no step that could be heard as a click");
});

test("after a flush the next reply starts clean", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(500));
  render(playout, 100);
  playout.flush(1);
  playout.push(2, 0, speech(80));
  playout.end(2);
  assert.deepEqual(names(render(playout, 200).events), ["started 2", "drained 2"]);
  assert.equal(playout.position.samples, samplesOf(80));
});

test("a flush before the first sample says that nothing was played", () => {
  const playout = new Playout(RATE_HZ);
  assert.equal(playout.flush(1), 0);
  playout.push(2, 0, speech(40));
  assert.equal(playout.flush(2), 0);
  assert.equal(render(playout, 100).soundMs, 0);
});

test("a queue that runs dry is an underrun only if more of the reply comes", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(80));
  assert.deepEqual(names(render(playout, 200).events), ["started 1"]);
  assert.equal(playout.underruns, 0);
  for (const startMs of [80, 120, 160]) playout.push(1, samplesOf(startMs), speech(40));
  playout.end(1);
  const { events, soundMs } = render(playout, 200);
  assert.deepEqual(names(events), ["drained 1"]);
  assert.equal(Math.round(soundMs), 120);
  assert.equal(playout.underruns, 1);
});

// The largest step between two samples, from a sample of LOUD before the first.
const clickOf = (samples, before = 0.5) =>
  Math.max(...samples.map((sample, i) => Math.abs(sample - (i ? samples[i - 1] : before))));

for (const ms of [70, 80, 90, 96]) {
  test(`a queue that runs dry after ${ms} ms fades out, and in again when it goes on`, () => {
    const playout = new Playout(RATE_HZ);
    playout.push(1, 0, speech(ms));
    assert.ok(clickOf(render(playout, 200).samples) < 0.02, "out");
    playout.push(1, samplesOf(ms), speech(100));
    assert.equal(render(playout, 50).soundMs, 0, "more is gathered than at the start");
    playout.push(1, samplesOf(ms + 100), speech(100));
    const { samples, events } = render(playout, 100);
    assert.ok(clickOf(samples, 0) < 0.02, "in");
    assert.deepEqual(events, [], "it is the same reply");
  });
}

test("another session's first response has not been played, whatever the last one's was", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(80));
  playout.end(1);
  render(playout, 200);
  playout.flush(null);
  playout.push(1, 0, speech(40));
  assert.equal(playout.flush(1), 0);
});

test("an end that comes after the last sample was played still drains the reply", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(80));
  render(playout, 200);
  playout.end(1);
  assert.deepEqual(names(render(playout, 10).events), ["drained 1"]);
  assert.deepEqual(render(playout, 10).events, []);
  assert.equal(playout.underruns, 0);
});

test("a reply may queue behind another", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(80));
  playout.end(1);
  playout.push(2, 0, speech(80));
  playout.end(2);
  const { events } = render(playout, 300);
  assert.deepEqual(names(events), ["started 1", "drained 1", "started 2", "drained 2"]);
});

test("the position follows the offsets in the frames, also over a gap", () => {
  const playout = new Playout(RATE_HZ);
  playout.push(1, 0, speech(80));
  playout.push(1, samplesOf(100), speech(80));
  playout.end(1);
  const { events } = render(playout, 300);
  assert.deepEqual(names(events), ["started 1", "drained 1"]);
  assert.equal(playout.position.samples, samplesOf(180));
});

for (const rateHz of [44100, 48000]) {
  test(`a context of ${rateHz} Hz plays the same length and counts in 24 kHz`, () => {
    const playout = new Playout(rateHz);
    for (let ms = 0; ms < 200; ms += 20) playout.push(1, samplesOf(ms), speech(20));
    playout.end(1);
    const { events, soundMs } = render(playout, 400, rateHz);
    assert.deepEqual(names(events), ["started 1", "drained 1"]);
    assert.ok(Math.abs(soundMs - 200) < 2, `${soundMs} ms`);
    assert.ok(Math.abs(playout.position.samples - samplesOf(200)) <= 1);
  });
}

test("a full queue refuses and counts", () => {
  const playout = new Playout(RATE_HZ);
  const minute = speech(60_000);
  for (let i = 0; i < 7; i++) playout.push(1, i * minute.length, minute);
  assert.equal(playout.dropped, 1);
});
