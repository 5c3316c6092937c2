// In the audio thread: posts each chunk of microphone audio as {pcm: ArrayBuffer, level}.

import { Capture } from "./capture.js";

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.capture = new Capture(sampleRate);
  }

  process([channels]) {
    if (channels.length === 0) return true; // between two microphones
    for (const { pcm, level } of this.capture.push(channels)) {
      this.port.postMessage({ pcm: pcm.buffer, level }, [pcm.buffer]);
    }
    return true;
  }
}

registerProcessor("microphone", MicrophoneProcessor);
