// The conversation as something to keep: text for people, JSON for programs. Pure.
//
// A line is {who: "user" | "reply" | "tool", text, unheard, note}: `unheard` is the end of a reply
// that an interruption cut off.

import { NOTES, SPEAKERS } from "./strings.js";

export function asText(lines) {
  return lines.map(textOf).join("\n") + (lines.length > 0 ? "\n" : "");
}

function textOf({ who, text, unheard, note }) {
  const cut = unheard ? ` [${NOTES.unheard}: ${unheard.trim()}]` : "";
  const remark = note && !unheard ? ` (${note})` : "";
  return `${SPEAKERS[who]}: ${text.trim()}${cut}${remark}`;
}

/** `about` is what is known of the whole: when it was, with what settings. No key is in it. */
export function asJson(lines, latency, about) {
  return `${JSON.stringify({ ...about, lines, latency }, null, 2)}\n`;
}

/** A file name that sorts by time: "banter-2026-11-30-0934.txt". */
export function fileName(date, ending) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `banter-${day}-${two(date.getHours())}${two(date.getMinutes())}.${ending}`;
}
