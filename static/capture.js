// Microphone samples at any rate -> chunks of 20 ms at 24 kHz. Pure; runs in mic-worklet.js.

import { SAMPLE_RATE_HZ } from "./frame.js";
import { floatToPcm16, rms } from "./pcm.js";
import { Resampler } from "./resample.js";

const CHUNK_SAMPLES = SAMPLE_RATE_HZ / 50;

export class Capture {
  constructor(inputRateHz) {
    this.resampler = new Resampler(inputRateHz, SAMPLE_RATE_HZ);
    this.chunk = new Float32Array(CHUNK_SAMPLES);
    this.filled = 0;
  }

  /** Channels of one render quantum -> the chunks they complete: {pcm: Int16Array, level}. */
  push(channels) {
    const samples = this.resampler.push(mono(channels));
    const chunks = [];
    for (let i = 0; i < samples.length; ) {
      const count = Math.min(CHUNK_SAMPLES - this.filled, samples.length - i);
      this.chunk.set(samples.subarray(i, i + count), this.filled);
      this.filled += count;
      i += count;
      if (this.filled === CHUNK_SAMPLES) chunks.push(this.#take());
    }
    return chunks;
  }

  #take() {
    this.filled = 0;
    return { pcm: floatToPcm16(this.chunk), level: rms(this.chunk) };
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i] / channels.length;
  }
  return mixed;
}
