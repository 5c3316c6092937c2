// The sound of the conversation, to be kept by whoever had it. Pure: 24 kHz PCM16 on one timeline,
// counted in samples from the start of the call. MAX_S are held; the oldest goes, and `forgotten`
// says so.

import { SAMPLE_RATE_HZ } from "./frame.js";

const MAX_S = 30 * 60;
const BLOCK_SAMPLES = 10 * SAMPLE_RATE_HZ; // many small arrays would cost more than their audio
const SLACK_SAMPLES = SAMPLE_RATE_HZ / 5; // later than that is a gap and not a late message

export class Recording {
  forgotten = false;
  #user = []; // blocks {startSample, pcm, filled}, oldest first
  #reply = [];
  #waiting = new Map(); // response number -> {at, blocks}, `at` null until it can be heard

  /** A chunk of the microphone that has just ended at `at`. */
  hearUser(pcm, at) {
    const last = this.#user.at(-1);
    const end = last ? last.startSample + last.filled : -Infinity;
    const start = Math.max(0, at - pcm.length);
    append(this.#user, start - end > SLACK_SAMPLES ? start : end, pcm);
    this.#forget(at);
  }

  /** The next audio of a reply; it is on the timeline once the reply is `started`. */
  hearReply(number, pcm) {
    const reply = this.#waiting.get(number) ?? { at: null, blocks: [] };
    this.#waiting.set(number, reply);
    const last = reply.blocks.at(-1);
    append(reply.blocks, last ? last.startSample + last.filled : 0, pcm);
  }

  started(number, at) {
    const reply = this.#waiting.get(number);
    if (reply && reply.at === null) reply.at = at;
  }

  /** The reply is over; of its item, `played` samples were heard. */
  ended(number, played = Infinity) {
    const reply = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (!reply || reply.at === null) return;
    this.#reply.push(...placed(reply, played));
    this.#forget(reply.at); // the user may say nothing for long
  }

  /** {user, reply: [{startSample, pcm: Int16Array}], forgotten}; between two there was silence. */
  all() {
    const sounding = [...this.#waiting.values()].filter(({ at }) => at !== null);
    const reply = [...this.#reply, ...sounding.flatMap((one) => placed(one, Infinity))];
    return { user: trimmed(this.#user), reply: trimmed(reply), forgotten: this.forgotten };
  }

  #forget(at) {
    const from = at - MAX_S * SAMPLE_RATE_HZ;
    for (const blocks of [this.#user, this.#reply]) {
      while (blocks.length > 0 && blocks[0].startSample + blocks[0].filled < from) {
        blocks.shift();
        this.forgotten = true;
      }
    }
  }
}

// Puts samples where they belong: into the last block, if they follow it, else into a new one.
function append(blocks, start, pcm) {
  for (let read = 0; read < pcm.length; ) {
    let last = blocks.at(-1);
    const follows = last && last.startSample + last.filled === start + read;
    if (!follows || last.filled === last.pcm.length) {
      if (last) last.pcm = last.pcm.slice(0, last.filled);
      last = { startSample: start + read, pcm: new Int16Array(BLOCK_SAMPLES), filled: 0 };
      blocks.push(last);
    }
    const count = Math.min(last.pcm.length - last.filled, pcm.length - read);
    last.pcm.set(pcm.subarray(read, read + count), last.filled);
    last.filled += count;
    read += count;
  }
}

function placed({ at, blocks }, played) {
  return blocks
    .filter(({ startSample }) => startSample < played)
    .map(({ startSample, pcm, filled }) => {
      const heard = Math.min(filled, played - startSample);
      return { startSample: at + startSample, pcm: pcm.slice(0, heard), filled: heard };
    });
}

const trimmed = (blocks) =>
  blocks.map(({ startSample, pcm, filled }) => ({ startSample, pcm: pcm.subarray(0, filled) }));
