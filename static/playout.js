// The queue between the network and the loudspeaker. Pure: frames in, samples out, events out.
// Runs in player-worklet.js. Time is samples: of 24 kHz audio for `position`, of the context's
// rate for what is queued.
//
// A reply starts to sound when START_MS of it are there, or when all of it is. If the queue runs
// dry before the reply's end, that is an underrun: it fades, and REFILL_MS are gathered.
// The queue holds MAX_QUEUED_S of audio; what comes beyond that is dropped and counted.

import { SAMPLE_RATE_HZ } from "./frame.js";
import { pcm16ToFloat } from "./pcm.js";
import { Resampler } from "./resample.js";

const START_MS = 60;
const REFILL_MS = 120; // the network has shown that it can be late
const MAX_QUEUED_S = 300;
const FADE_SAMPLES = 64;

export class Playout {
  constructor(outputRateHz) {
    this.rateHz = outputRateHz;
    this.resampler = new Resampler(SAMPLE_RATE_HZ, outputRateHz);
    this.chunks = []; // {stream, offset, samples}: what waits, oldest first
    this.read = 0; // samples already played of chunks[0]
    this.queued = 0; // samples waiting in all
    this.incoming = null; // the stream that push() feeds: {number, base, emitted, expected, ended}
    this.playing = null; // the stream that render() plays, null while filling or empty
    this.starved = null; // the stream that ran dry before its end, while nothing more has come
    this.position = { number: null, samples: 0 }; // how much of the last item has been played
    this.fading = new Float32Array(0); // what sounds on to end softly, less than a quantum
    this.rising = 0; // samples that still fade in, after the queue ran dry
    this.last = 0; // last sample played
    this.underruns = 0;
    this.dropped = 0; // chunks refused because the queue was full
  }

  /** Int16Array at 24 kHz, from `offset` samples into the item's audio. */
  push(number, offset, pcm) {
    if (this.queued > MAX_QUEUED_S * this.rateHz) {
      this.dropped += 1;
      return;
    }
    if (this.starved?.number === number && this.chunks.length === 0) this.underruns += 1;
    const stream = this.#streamAt(number, offset);
    stream.expected = offset + pcm.length;
    this.#enqueue(stream, this.resampler.push(pcm16ToFloat(pcm)));
  }

  /** No more audio of this response will come. */
  end(number) {
    const stream = this.incoming;
    if (stream === null || stream.number !== number || stream.ended) return;
    this.#enqueue(stream, this.resampler.finish());
    stream.ended = true;
  }

  /** Drops all that waits. Returns how many samples of that response's item were played. */
  flush(number) {
    this.fading = this.playing === null ? this.fading : this.#fadeOut();
    this.chunks = [];
    this.read = this.queued = 0;
    this.incoming = this.playing = this.starved = null;
    this.resampler.reset();
    const { position } = this;
    this.position = { number: null, samples: 0 }; // another session counts its responses anew
    return position.number === number ? position.samples : 0;
  }

  /** Fills `output` and returns what happened: [{type: started | drained, number}]. */
  render(output) {
    output.fill(0);
    const events = [];
    if (this.starved?.ended && this.chunks.length === 0) this.#drain(this.starved, events);
    let filled = this.#renderFade(output, 0);
    while (filled < output.length && this.#ready(events)) {
      filled += this.#copy(output, filled);
      this.#afterCopy(events);
    }
    this.#renderFade(output, filled);
    return events;
  }

  #streamAt(number, offset) {
    const stream = this.incoming;
    if (stream?.number === number && stream.expected === offset) return stream;
    this.resampler.reset();
    this.incoming = { number, base: offset, emitted: 0, expected: offset, ended: false };
    return this.incoming;
  }

  #enqueue(stream, samples) {
    if (samples.length === 0) return;
    const offset = stream.base + (stream.emitted * SAMPLE_RATE_HZ) / this.rateHz;
    stream.emitted += samples.length;
    this.queued += samples.length;
    this.chunks.push({ stream, offset, samples });
  }

  // True when there is a sample to play now.
  #ready(events) {
    if (this.playing !== null) return true;
    const head = this.chunks[0];
    if (head === undefined) return false;
    const goesOn = this.starved?.number === head.stream.number;
    const leastMs = goesOn ? REFILL_MS : START_MS;
    if (this.queued < (leastMs / 1000) * this.rateHz && !head.stream.ended) return false;
    this.playing = head.stream;
    if (goesOn) this.rising = FADE_SAMPLES;
    else events.push({ type: "started", number: head.stream.number });
    this.starved = null;
    return true;
  }

  #copy(output, filled) {
    const head = this.chunks[0];
    const count = Math.min(output.length - filled, head.samples.length - this.read);
    output.set(head.samples.subarray(this.read, this.read + count), filled);
    for (let i = 0; i < count && this.rising > 0; i++, this.rising--) {
      output[filled + i] *= 1 - this.rising / FADE_SAMPLES;
    }
    this.read += count;
    this.queued -= count;
    this.last = output[filled + count - 1];
    const played = head.offset + (this.read * SAMPLE_RATE_HZ) / this.rateHz;
    this.position = { number: head.stream.number, samples: Math.round(played) };
    return count;
  }

  #afterCopy(events) {
    if (this.read < this.chunks[0].samples.length) return;
    const { stream } = this.chunks.shift();
    this.read = 0;
    const next = this.chunks[0]?.stream;
    if (next?.number === stream.number) return;
    this.playing = null;
    if (stream.ended || next !== undefined) {
      this.#drain(stream, events);
    } else {
      this.starved = stream;
      this.fading = fadeOf(new Float32Array(FADE_SAMPLES).fill(this.last));
    }
  }

  #drain(stream, events) {
    this.starved = null;
    events.push({ type: "drained", number: stream.number });
  }

  // The next samples, going to zero: a cut without a click.
  #fadeOut() {
    const head = this.chunks[0];
    return fadeOf(head.samples.slice(this.read, this.read + FADE_SAMPLES));
  }

  #renderFade(output, from) {
    const count = Math.min(this.fading.length, output.length - from);
    output.set(this.fading.subarray(0, count), from);
    this.fading = this.fading.subarray(count);
    return count;
  }
}

const fadeOf = (samples) => samples.map((sample, i) => sample * (1 - (i + 1) / samples.length));
