// A recorded conversation -> a WAV file: the user on the left, the reply on the right. Pure.

import { SAMPLE_RATE_HZ } from "./frame.js";

const HEADER_BYTES = 44;

/** [{startSample, pcm: Int16Array}] of each side -> one Int16Array, left and right in turn. */
export function stereo(user, reply) {
  const blocks = [...user, ...reply];
  const begin = Math.min(...blocks.map(({ startSample }) => startSample));
  const end = Math.max(...blocks.map(({ startSample, pcm }) => startSample + pcm.length));
  const mixed = new Int16Array(blocks.length > 0 ? 2 * (end - begin) : 0);
  for (const [channel, side] of [user, reply].entries()) {
    for (const { startSample, pcm } of side) {
      const at = 2 * (startSample - begin) + channel;
      for (let i = 0; i < pcm.length; i++) mixed[at + 2 * i] = pcm[i];
    }
  }
  return mixed;
}

/** PCM16 samples, channels in turn, as the parts of a WAV file: [ArrayBuffer, Int16Array]. */
export function wav(samples, channels = 1) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const frameBytes = 2 * channels;
  text(view, 0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + samples.byteLength, true);
  text(view, 8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format that follows
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, channels, true);
  view.setUint32(24, SAMPLE_RATE_HZ, true);
  view.setUint32(28, SAMPLE_RATE_HZ * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 16, true); // bits
  text(view, 36, "data");
  view.setUint32(40, samples.byteLength, true);
  return [view.buffer, samples]; // every machine with a browser is little-endian
}

function text(view, at, letters) {
  for (let i = 0; i < letters.length; i++) view.setUint8(at + i, letters.charCodeAt(i));
}
