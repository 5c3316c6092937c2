// What the server's HTTP endpoints know of its voices and models. `key()` is the caller's, "" for none.

import { SAMPLE_RATE_HZ } from "./frame.js";
import { pcm16ToFloat } from "./pcm.js";
import { notices, SAMPLE } from "./strings.js";

const OWN_NAMES = "gpt-realtime"; // the first name in the list that is only an alias

export class Voices {
  #key;

  constructor(key) {
    this.#key = key;
  }

  /** {names, canAdd}; no names where the server does not tell. */
  async list() {
    const { data, can_add } = await this.#json("/v1/audio/voices");
    return { names: data.map(({ id }) => id), canAdd: can_add === true };
  }

  /** The names of the models that are loaded. */
  async models() {
    const names = (await this.#json("/v1/models")).data.map(({ id }) => id);
    return names.slice(0, Math.max(0, names.indexOf(OWN_NAMES)));
  }

  /** Says a sentence in a voice, "" for the server's own. Call it in a click. */
  async hear(voice, volume) {
    const context = new AudioContext();
    try {
      const body = {
        model: "tts-1",
        voice: voice || "default",
        input: SAMPLE,
        response_format: "pcm",
      };
      const headers = { "Content-Type": "application/json" };
      const answer = await this.#ask("/v1/audio/speech", {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      const sound = await answer.arrayBuffer();
      const samples = pcm16ToFloat(new Int16Array(sound, 0, sound.byteLength >> 1));
      await play(context, samples, volume);
    } finally {
      context.close();
    }
  }

  /** A new voice of a recording, which is a Blob. */
  async add(name, clip, consent) {
    const body = new FormData();
    body.set("name", name);
    body.set("consent", consent);
    body.set("audio_sample", clip);
    await this.#ask("/v1/audio/voices", { method: "POST", body });
  }

  async #json(path) {
    return (await this.#ask(path)).json();
  }

  async #ask(path, { headers, ...rest } = {}) {
    const key = this.#key();
    const authorization = key ? { Authorization: `Bearer ${key}` } : {};
    const answer = await fetch(path, { ...rest, headers: { ...headers, ...authorization } });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => null);
    throw new Error(problem?.error?.message ?? notices.httpStatus(answer.status));
  }
}

function play(context, samples, volume) {
  if (samples.length === 0) return Promise.resolve();
  const buffer = context.createBuffer(1, samples.length, SAMPLE_RATE_HZ);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(new GainNode(context, { gain: volume })).connect(context.destination);
  source.start();
  return new Promise((resolve) => (source.onended = resolve));
}
