// The clipboard, which some browsers and all insecure pages refuse.

import { SAID } from "./strings.js";

/** Copies a text; what to say of it. */
export async function copy(text, done = SAID.copied) {
  try {
    await navigator.clipboard.writeText(text);
    return done;
  } catch {
    return SAID.notCopied;
  }
}
