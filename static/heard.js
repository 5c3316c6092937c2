// Of a reply that was cut: which of its words were heard. Pure.

/** The whole text and what the server says was heard of it -> [heard, unheard]. */
export function split(whole, heard) {
  const words = [...whole.matchAll(/\S+/g)];
  const known = heard.match(/\S+/g) ?? [];
  const agrees =
    known.length <= words.length && known.every((word, i) => bare(words[i][0]) === bare(word));
  if (!agrees) return [heard, ""];
  if (known.length === 0) return ["", whole];
  const last = words[known.length - 1];
  const end = last.index + last[0].length;
  return [whole.slice(0, end), whole.slice(end)];
}

/** Whether a reply goes on where another was cut: it begins with the words that were not heard. */
export function goesOn(unheard, text) {
  const said = text.match(/\S+/g) ?? [];
  const missing = unheard.match(/\S+/g) ?? [];
  const count = Math.min(3, missing.length);
  return (
    count > 0 &&
    said.length >= count &&
    said.slice(0, count).every((w, i) => bare(w) === bare(missing[i]))
  );
}

const bare = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
