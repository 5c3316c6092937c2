// In the audio thread: plays what the page posts and tells the page what was played.
//
//   in:  {type: "audio", number, offset, pcm: ArrayBuffer}, {type: "end", number},
//        {type: "flush", number}
//   out: {type: "started" | "drained", number},
//        {type: "progress", number, position, level, underruns, dropped, queuedMs} every 40 ms of
//        playing and at its end,
//        {type: "flushed", position}

import { rms } from "./pcm.js";
import { Playout } from "./playout.js";

const PROGRESS_S = 0.04;

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.playout = new Playout(sampleRate);
    this.samplesUntilProgress = 0;
    this.energy = 0; // since the last report
    this.quanta = 0;
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  process(inputs, [[output]]) {
    const events = this.playout.render(output);
    this.samplesUntilProgress -= output.length;
    this.energy += rms(output) ** 2;
    this.quanta += 1;
    const due = this.playout.playing !== null && this.samplesUntilProgress <= 0;
    if (due || events.length > 0) this.#report();
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

  #report() {
    this.samplesUntilProgress = PROGRESS_S * sampleRate;
    const { position, underruns, dropped, queued } = this.playout;
    this.port.postMessage({
      type: "progress",
      number: position.number,
      position: position.samples,
      level: Math.sqrt(this.energy / this.quanta),
      underruns,
      dropped,
      queuedMs: (1000 * queued) / sampleRate,
    });
    this.energy = this.quanta = 0;
  }
}

registerProcessor("player", PlayerProcessor);
