// The key that a server may ask for: from its field, or from the page's address behind #, where no
// server sees it. It is kept for this window alone.

const ENTRY = "banter.key";

/** localStorage or sessionStorage; null where storage is blocked, as then even to read it throws. */
export function storageOf(name) {
  try {
    return window[name];
  } catch {
    return null;
  }
}

export function loadKey() {
  return storageOf("sessionStorage")?.getItem(ENTRY) ?? "";
}

export function storeKey(key) {
  try {
    storageOf("sessionStorage")?.setItem(ENTRY, key);
  } catch {
    // full: it holds until the page is closed
  }
}
