// A voice of one's own: a recording, made here or chosen as a file, goes to the server together with
// what its owner agreed to.

import { setText } from "./dom.js";
import { SAMPLE_RATE_HZ } from "./frame.js";
import { Microphone, openAudio } from "./microphone.js";
import { CLONING, microphoneNotice } from "./strings.js";
import { wav } from "./wav.js";

const LONGEST_S = 30;

const find = (id) => document.getElementById(id);

export class Cloning {
  #voices;
  #deviceId; // () => the microphone that is set
  #onAdded;
  #onRecord;
  #form = find("clone-form");
  #button = find("record");
  #recorder = null;
  #clip = null; // a Blob that was recorded here; a file that is chosen later replaces it

  constructor(voices, deviceId, onAdded, onRecord) {
    this.#voices = voices;
    this.#deviceId = deviceId;
    this.#onAdded = onAdded;
    this.#onRecord = onRecord;
    this.#button.addEventListener("click", () => (this.#recorder ? this.stop() : this.#record()));
    this.#form.elements.file.addEventListener("change", () => (this.#clip = null));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
  }

  /** Ends a recording that is under way and keeps it. */
  stop() {
    const recorder = this.#recorder;
    if (recorder === null) return;
    this.#recorder = null;
    recorder.microphone.close();
    recorder.context.close();
    this.#onRecord(false);
    setText(this.#button, CLONING.record);
    if (recorder.chunks.length === 0) return;
    this.#clip = new Blob(wav(joined(recorder.chunks)), { type: "audio/wav" });
    this.#form.elements.file.value = "";
    this.#say(CLONING.recorded(seconds(recorder)));
  }

  async #record() {
    this.#button.disabled = true;
    let opened = null;
    try {
      opened = await openAudio(this.#deviceId());
      const { context, stream } = opened;
      const recorder = { context, chunks: [] };
      recorder.microphone = await Microphone.create(context, stream, this.#deviceId(), {
        onChunk: ({ pcm }) => this.#hear(recorder, new Int16Array(pcm)),
        onLost: () => this.stop(),
      });
      this.#recorder = recorder;
      this.#onRecord(true);
      setText(this.#button, CLONING.stop);
      if (!find("settings").open) this.stop(); // closed while the browser was asking
    } catch (error) {
      for (const track of opened?.stream.getTracks() ?? []) track.stop();
      opened?.context.close();
      this.#say(microphoneNotice(error) ?? error.message);
    }
    this.#button.disabled = false;
  }

  #hear(recorder, pcm) {
    recorder.chunks.push(pcm);
    if (recorder !== this.#recorder) return;
    setText(this.#button, CLONING.stopAt(Math.floor(seconds(recorder))));
    if (seconds(recorder) >= LONGEST_S) this.stop();
  }

  async #add() {
    this.stop();
    const { name, file, consent } = this.#form.elements;
    const clip = this.#clip ?? file.files[0];
    if (!clip) return this.#say(CLONING.noClip);
    this.#say(CLONING.sending);
    try {
      await this.#voices.add(name.value, clip, consent.value);
      this.#say(CLONING.added(name.value));
      this.#onAdded(name.value);
      this.#clip = null;
      this.#form.reset();
    } catch (error) {
      this.#say(error.message);
    }
  }

  #say(text) {
    setText(find("clone-status"), text);
  }
}

const seconds = ({ chunks }) =>
  chunks.reduce((sum, { length }) => sum + length, 0) / SAMPLE_RATE_HZ;

function joined(chunks) {
  const whole = new Int16Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
