// The settings as a form. What is changed in it takes effect at once and is kept; the form itself
// knows neither the call nor the storage.

import { copy } from "./clipboard.js";
import { Cloning } from "./cloning.js";
import { choosesOutput, listDevices } from "./devices.js";
import { make, setText } from "./dom.js";
import { DEFAULTS, normalise, toUrl } from "./settings.js";
import { SAID, SETTINGS } from "./strings.js";
import { Voices } from "./voices.js";

const LANGUAGES =
  "af ar az be bg bn bs ca cs cy da de el en es et fa fi fr gl gu he hi hr hu hy id is it ja ka kk " +
  "kn ko lt lv mi mk mn mr ms mt my ne nl no pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur " +
  "uz vi yue zh";

const find = (id) => document.getElementById(id);

export class SettingsPanel {
  #settings;
  #voices;
  #form = find("settings-form");
  #names = []; // of the voices
  #onChange;

  /**
   * key() is that of the server. Handlers: onChange(settings, isWish) after each change, which is the
   * user's wish or not; onRecord(records) when a voice is recorded, and when no longer.
   */
  constructor(settings, key, { onChange, onRecord }) {
    this.#settings = settings;
    this.#voices = new Voices(key);
    this.#onChange = onChange;
    const cloning = new Cloning(
      this.#voices,
      () => this.#settings.input,
      (voice) => {
        this.#put({ ...this.#settings, voice });
        this.loadVoices();
      },
      onRecord,
    );
    find("settings").addEventListener("close", () => cloning.stop());
    find("settings-close").addEventListener("click", () => find("settings").close());
    find("hear").addEventListener("click", () => this.#hear());
    find("share").addEventListener("click", () => this.#share());
    fill(this.#form.elements.language, [["", SETTINGS.anyLanguage], ...languages()]);
    this.#form.addEventListener("change", ({ target }) => this.#take(target));
    this.#form.addEventListener("input", () => this.#showRows());
    this.#form.addEventListener("reset", (event) => {
      event.preventDefault(); // to the page's defaults and not to the form's
      const { volume } = this.#settings;
      this.#put({ ...DEFAULTS, volume });
    });
    this.show(settings);
  }

  /** Other settings than the form's, from a link or a button. */
  show(settings) {
    this.#settings = settings;
    const { elements } = this.#form;
    fill(elements.voice, this.#voiceOptions());
    for (const name of Object.keys(DEFAULTS)) {
      const field = elements[name];
      if (field === undefined || (field === document.activeElement && field.type === "textarea")) {
        continue; // somebody is writing in it
      }
      if (field.type === "checkbox") field.checked = settings[name];
      else field.value = settings[name];
    }
    this.#showRows();
  }

  /** `model` is what the conversation was told, if there was one. */
  open(model) {
    if (model) setText(find("model"), model);
    setText(find("outcome"), "");
    find("settings").showModal();
    this.loadDevices();
    this.loadVoices();
    this.#voices.models().then(
      (names) => names.length > 0 && setText(find("model"), names.join(", ")),
      () => {}, // the conversation will tell
    );
  }

  async loadDevices() {
    const { inputs, outputs } = await listDevices();
    this.#fillDevices("input", inputs);
    if (outputs) this.#fillDevices("output", outputs);
    find("output-row").hidden = !choosesOutput();
  }

  /** Asks which voices there are; one that is set and is not there is unset. */
  async loadVoices() {
    const { names, canAdd } = await this.#voices.list().catch(() => ({ names: [], canAdd: false }));
    this.#names = names;
    find("voice-row").hidden = names.length === 0;
    this.#form.elements.voice.parentElement.hidden = names.length === 1;
    find("cloning").hidden = !canAdd;
    const { voice } = this.#settings;
    if (names.length > 0 && voice !== "" && !names.includes(voice))
      this.#put({ ...this.#settings, voice: "" }, false);
    else this.show(this.#settings);
  }

  async #hear() {
    const button = find("hear");
    button.disabled = true;
    setText(button, SETTINGS.hearing);
    const { voice, volume } = this.#settings;
    await this.#voices
      .hear(voice, volume)
      .catch((error) => setText(find("outcome"), error.message));
    setText(button, SETTINGS.hear);
    button.disabled = false;
  }

  async #share() {
    setText(find("outcome"), await copy(toUrl(this.#settings, location), SAID.linkCopied));
  }

  #take({ name, type, checked, value }) {
    const given = type === "checkbox" ? checked : value;
    this.#put(normalise({ ...this.#settings, [name]: given }));
  }

  #put(settings, isWish = true) {
    this.show(settings);
    this.#onChange(settings, isWish);
  }

  #showRows() {
    const { turns, pauseMs } = this.#form.elements;
    find("pause-row").hidden = turns.value !== "pause";
    find("eagerness-row").hidden = turns.value !== "meaning";
    setText(find("pause"), SETTINGS.pause(pauseMs.value));
  }

  #voiceOptions() {
    const set = this.#settings.voice;
    const others = this.#names.filter((name) => name !== "default");
    const missing = set === "" || others.includes(set) ? [] : [set];
    return [["", SETTINGS.ownVoice], ...[...others, ...missing].map((name) => [name, name])];
  }

  #fillDevices(name, devices) {
    const field = this.#form.elements[name];
    const named = devices.filter(({ id }) => id !== "default" && id !== "communications");
    const options = named.map(({ id, label }, i) => [id, label || SETTINGS.device(i + 1)]);
    fill(field, [["", SETTINGS.systemDevice], ...options]);
    field.value = this.#settings[name];
    if (field.selectedIndex < 0) field.value = ""; // it is not connected; the setting stays
  }
}

function fill(select, options) {
  select.replaceChildren(
    ...options.map(([value, textContent]) => make("option", { value, textContent })),
  );
}

function languages() {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const named = LANGUAGES.split(" ").map((code) => [code, names.of(code)]);
  return named.sort(([, one], [, other]) => one.localeCompare(other));
}
