// When to come back after a connection was lost, and when not to. Pure: the caller has the clock.

const FIRST_MS = 500;
const LONGEST_MS = 15_000;
export const GIVE_UP_MS = 120_000; // after the loss

// 1000: the server has ended it. 1008, 1009: it refuses what this page does, and would again.
const FINAL_CODES = [1000, 1008, 1009];
// Of what `askRefusal` says: a missing key or a foreign address do not mend themselves.
const FINAL_STATES = ["key", "origin"];

export function comesBack({ code, opened }, refusal) {
  return opened ? !FINAL_CODES.includes(code) : !FINAL_STATES.includes(refusal?.status);
}

/** How long to wait before attempt 0, 1, 2 ...: longer each time, and never all pages at once. */
export function waitMs(attempt, retryAfterS = 0, random = Math.random) {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return Math.max(FIRST_MS, most * (0.5 + 0.5 * random()), retryAfterS * 1000);
}
