// Samples as numbers: PCM16 and floats between -1 and 1. Pure.

export function floatToPcm16(floats) {
  const pcm = new Int16Array(floats.length);
  for (let i = 0; i < floats.length; i++) {
    pcm[i] = Math.round(Math.max(-1, Math.min(1, floats[i])) * 32767);
  }
  return pcm;
}

export function pcm16ToFloat(pcm) {
  const floats = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i++) floats[i] = pcm[i] / 32768;
  return floats;
}

/** Root mean square: 0 for silence, about 0.1 for speech at a good level. */
export function rms(floats) {
  let sum = 0;
  for (const sample of floats) sum += sample * sample;
  return floats.length ? Math.sqrt(sum / floats.length) : 0;
}
