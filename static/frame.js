// The binary frame that carries reply audio. Pure: bytes in, a frame out. It knows no socket.
//
//   byte 0  u8   version (1)
//   byte 1  u8   flags (0 for now)
//   byte 2  u16  zero
//   byte 4  u32  response number
//   byte 8  u32  offset of the first sample in the item's audio
//   byte 12 ...  PCM16 mono 24 kHz; everything is little-endian

export const SAMPLE_RATE_HZ = 24000;
export const HEADER_BYTES = 12;
const VERSION = 1;

/** ArrayBuffer -> {responseNumber, offsetSamples, samples: Int16Array}. Throws RangeError. */
export function decodeFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError("audio frame shorter than its header");
  const view = new DataView(buffer);
  const version = view.getUint8(0);
  if (version !== VERSION) throw new RangeError(`audio frame of unknown version ${version}`);
  return {
    responseNumber: view.getUint32(4, true),
    offsetSamples: view.getUint32(8, true),
    samples: readPcm16(view, HEADER_BYTES),
  };
}

/** The inverse of decodeFrame. */
export function encodeFrame({ responseNumber, offsetSamples, samples }) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + samples.length * 2));
  view.setUint8(0, VERSION);
  view.setUint32(4, responseNumber, true);
  view.setUint32(8, offsetSamples, true);
  samples.forEach((sample, i) => view.setInt16(HEADER_BYTES + i * 2, sample, true));
  return view.buffer;
}

// A last odd byte is half a sample and is left out.
function readPcm16(view, startByte) {
  const samples = new Int16Array((view.byteLength - startByte) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(startByte + i * 2, true);
  return samples;
}
