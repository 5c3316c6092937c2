import assert from "node:assert/strict";
import { test } from "node:test";

import { rms } from "../../static/pcm.js";
import { Resampler } from "../../static/resample.js";

const RATES_HZ = [8000, 16000, 22050, 32000, 44100, 48000, 96000, 192000];

const tone = (frequencyHz, rateHz, seconds) =>
  Float32Array.from({ length: Math.round(rateHz * seconds) }, (_, i) =>
    Math.sin((2 * Math.PI * frequencyHz * i) / rateHz),
  );

// In pieces of one render quantum, as a worklet gets them.
function run(resampler, samples, pieceSamples = 128) {
  const output = [];
  for (let i = 0; i < samples.length; i += pieceSamples) {
    output.push(...resampler.push(samples.subarray(i, i + pieceSamples)));
  }
  output.push(...resampler.finish());
  return Float32Array.from(output);
}

const inner = (samples) => samples.subarray(samples.length >> 2, (samples.length * 3) >> 2);
const decibels = (ratio) => 20 * Math.log10(ratio);

for (const rateHz of RATES_HZ) {
  test(`${rateHz} Hz to 24 kHz keeps a tone, its length and its place`, () => {
    const output = run(new Resampler(rateHz, 24000), tone(1000, rateHz, 0.5));
    const expected = tone(1000, 24000, 0.5);
    assert.ok(Math.abs(output.length - expected.length) <= 1, `${output.length} samples`);
    const error = inner(output).map((sample, i) => sample - inner(expected)[i]);
    assert.ok(decibels(rms(error) / rms(expected)) < -60, `error ${decibels(rms(error))} dB`);
  });
}

for (const rateHz of [44100, 48000, 96000]) {
  test(`${rateHz} Hz to 24 kHz: what would alias is gone, speech stays`, () => {
    for (const frequencyHz of [12500, 15000, 20000]) {
      const output = run(new Resampler(rateHz, 24000), tone(frequencyHz, rateHz, 0.3));
      assert.ok(
        decibels(rms(inner(output))) < -60,
        `${frequencyHz} Hz at ${decibels(rms(output))}`,
      );
    }
    const high = run(new Resampler(rateHz, 24000), tone(9500, rateHz, 0.3));
    assert.ok(Math.abs(decibels(rms(inner(high)) * Math.SQRT2)) < 0.5);
  });
}

for (const rateHz of [44100, 48000]) {
  test(`24 kHz to ${rateHz} Hz adds no image of the tone`, () => {
    const output = inner(run(new Resampler(24000, rateHz), tone(5000, 24000, 0.5)));
    const image = 24000 - 5000; // where an unfiltered upsampler would mirror it
    let re = 0;
    let im = 0;
    output.forEach((sample, i) => {
      re += sample * Math.cos((2 * Math.PI * image * i) / rateHz);
      im += sample * Math.sin((2 * Math.PI * image * i) / rateHz);
    });
    assert.ok(decibels((2 * Math.hypot(re, im)) / output.length) < -60);
  });
}

test("the size of the pieces changes nothing", () => {
  const input = tone(440, 44100, 0.2);
  const whole = run(new Resampler(44100, 24000), input, input.length);
  for (const pieceSamples of [1, 7, 128, 1000]) {
    assert.deepEqual(run(new Resampler(44100, 24000), input, pieceSamples), whole);
  }
});

test("one rate into the same rate is the same samples, and silence stays silence", () => {
  const input = tone(440, 24000, 0.01);
  assert.equal(new Resampler(24000, 24000).push(input), input);
  assert.ok(
    run(new Resampler(48000, 24000), new Float32Array(4800)).every((sample) => sample === 0),
  );
});
