// Band-limited change of sample rate for a stream: floats in, floats out. Pure; runs in worklets.
//
// A windowed-sinc polyphase filter. Output sample n lies at input time n * down / up, so the
// streams stay aligned; the filter only has to wait for `half` samples of what comes next.

const ZERO_CROSSINGS = 32;
const KAISER_BETA = 8; // about 80 dB of stop band
const CUTOFF = 0.92; // of the lower Nyquist frequency; the stop band begins close to 1

export class Resampler {
  constructor(inputRateHz, outputRateHz) {
    const divisor = gcd(Math.round(inputRateHz), Math.round(outputRateHz));
    this.up = Math.round(outputRateHz) / divisor;
    this.down = Math.round(inputRateHz) / divisor;
    this.identity = this.up === this.down;
    const ratio = Math.min(1, this.up / this.down);
    this.half = Math.ceil(ZERO_CROSSINGS / ratio);
    this.phases = this.identity ? [] : designPhases(this.up, this.half, CUTOFF * ratio);
    this.reset();
  }

  reset() {
    this.pending = new Float32Array(this.half - 1); // silence before the first sample
    this.index = this.half - 1; // in `pending`: the input sample at or before the next output
    this.phase = 0;
  }

  /** Float32Array -> Float32Array: all output samples that this input completes. */
  push(samples) {
    if (this.identity) return samples;
    const input = concat(this.pending, samples);
    const output = new Float32Array(this.#completed(input.length));
    for (let n = 0; n < output.length; n++) {
      output[n] = dot(this.phases[this.phase], input, this.index - this.half + 1);
      this.#advance();
    }
    const keepFrom = Math.min(this.index - this.half + 1, input.length);
    this.pending = input.slice(keepFrom);
    this.index -= keepFrom;
    return output;
  }

  /** The last output samples, when no more input follows. */
  finish() {
    const tail = this.push(new Float32Array(this.half));
    this.reset();
    return this.identity ? new Float32Array(0) : tail;
  }

  #completed(inputLength) {
    const lastIndex = inputLength - 1 - this.half; // `half` samples to its right are needed
    if (this.index > lastIndex) return 0;
    return Math.floor(((lastIndex - this.index + 1) * this.up - this.phase - 1) / this.down) + 1;
  }

  #advance() {
    this.phase += this.down;
    this.index += Math.floor(this.phase / this.up);
    this.phase %= this.up;
  }
}

// One short filter for each of the `up` positions between two input samples.
function designPhases(up, half, cutoff) {
  return Array.from({ length: up }, (_, phase) => {
    const taps = new Float32Array(2 * half);
    let sum = 0;
    for (let k = 0; k < taps.length; k++) {
      const distance = half - 1 - k + phase / up;
      taps[k] = sinc(cutoff * distance) * kaiser(distance / half);
      sum += taps[k];
    }
    return taps.map((tap) => tap / sum);
  });
}

function dot(taps, input, start) {
  let sum = 0;
  for (let k = 0; k < taps.length; k++) sum += taps[k] * input[start + k];
  return sum;
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const kaiser = (x) => (Math.abs(x) >= 1 ? 0 : besselI0(KAISER_BETA * Math.sqrt(1 - x * x)));
const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-9 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function concat(a, b) {
  const joined = new Float32Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
