// In the audio thread: plays what the page posts and tells the page what was played.
//
//   in:  {type: "audio", number, offset, pcm: ArrayBuffer}, {type: "end", number},
//        {type: "flush", number}
//   out: {type: "started" | "drained", number},
//        {type: "progress", number, position, level, underruns, dropped} every 40 ms of playing
//        and at its end,
//        {type: "flushed", position}

import { rms } from "./pcm.js";
import { Playout } from "./playout.js";

const PROGRESS_S = 0.04;

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.playout = new Playout(sampleRate);
    this.samplesUntilProgress = 0;
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  process(inputs, [[output]]) {
    const events = this.playout.render(output);
    this.samplesUntilProgress -= output.length;
    const due = this.playout.playing !== null && this.samplesUntilProgress <= 0;
    if (due || events.length > 0) this.#report(output);
    for (const event of events) this.port.postMessage(event);
    return true;
  }

  #obey({ type, number, offset, pcm }) {
    if (type === "audio") this.playout.push(number, offset, new Int16Array(pcm));
    if (type === "end") this.playout.end(number);
    if (type === "flush") {
      this.port.postMessage({ type: "flushed", position: this.playout.flush(number) });
    }
  }

  #report(output) {
    this.samplesUntilProgress = PROGRESS_S * sampleRate;
    const { position, underruns, dropped } = this.playout;
    this.port.postMessage({
      type: "progress",
      number: position.number,
      position: position.samples,
      level: rms(output),
      underruns,
      dropped,
    });
  }
}

registerProcessor("player", PlayerProcessor);
