// What the scripts share: the request on the command line, speech from a file, one line of JSON as answer.

import { readFileSync } from 'node:fs';

export const TIMEOUT_MS = 40_000;
export const asked = JSON.parse(process.argv[2]);

/** A file of PCM16 as pieces of 100 ms at 24 kHz. */
export function pieces(path) {
  const audio = readFileSync(path);
  const found = [];
  for (let n = 0; n < audio.length; n += 4_800) found.push(audio.subarray(n, n + 4_800));
  return found;
}

/** Everything that happened, and a way to wait for it. */
export class Log {
  constructor() {
    this.events = [];
    this.waiting = [];
  }

  add(event) {
    this.events.push(event);
    this.look();
  }

  /** Ask those who wait anew; whatever they look at may have changed. */
  look() {
    for (const waiter of [...this.waiting]) waiter();
  }

  of(type) {
    return this.events.filter((event) => event.type === type);
  }

  /** What `find` returns as soon as that is truthy; `what` says what is missing. */
  until(what, find) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const seen = [...new Set(this.events.map((event) => event.type))].join(', ');
        reject(new Error(`no ${what()}; seen: ${seen}`));
      }, TIMEOUT_MS);
      const look = () => {
        const found = find();
        if (!found) return;
        clearTimeout(timer);
        this.waiting = this.waiting.filter((waiter) => waiter !== look);
        resolve(found);
      };
      this.waiting.push(look);
      look();
    });
  }

  /** The events of one type, as soon as there are so many of them. */
  count(type, many = 1) {
    return this.until(() => `${type} number ${many}`, () => {
      const found = this.of(type);
      return found.length >= many && found;
    });
  }
}

export function answer(found) {
  process.stdout.write(`${JSON.stringify(found)}\n`);
  process.exit(0);
}
