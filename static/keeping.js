// What a person takes away of a conversation: its text, its data, its sound.

import { copy } from "./clipboard.js";
import { make } from "./dom.js";
import { asJson, asText, fileName } from "./export.js";
import { SAID } from "./strings.js";
import { stereo, wav } from "./wav.js";

/** Keeps a conversation in one of the menu's ways; what to say of it. */
export async function keep(how, { lines, latency, about, recording, began }) {
  if (how === "copy") return copy(asText(lines));
  if (how === "text") download([asText(lines)], "text/plain", fileName(began, "txt"));
  if (how === "json")
    download([asJson(lines, latency, about)], "application/json", fileName(began, "json"));
  if (how === "wav") {
    const samples = stereo(recording?.user ?? [], recording?.reply ?? []);
    if (samples.length === 0) return SAID.noSound;
    download(wav(samples, 2), "audio/wav", fileName(began, "wav"));
    if (recording.forgotten) return SAID.forgotten;
  }
  return SAID.downloaded;
}

function download(parts, type, name) {
  const href = URL.createObjectURL(new Blob(parts, { type }));
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // some browsers read it late
}
