// How long a turn took, stage by stage. Pure. Times are ms after the end of the user's speech; a
// stage that did not happen is null. With speculation a stage may come before the one above it.

export const STAGES = ["decision", "transcript", "text", "audio", "played"];

/** {median, p95} of a stage over the turns; both null while it never happened. */
export function figures(turns, stage) {
  const times = turns.map((turn) => turn[stage]).filter(Number.isFinite);
  return { median: quantile(times, 0.5), p95: quantile(times, 0.95) };
}

/** The value below which that share of the values lies, between the two nearest; null for none. */
export function quantile(values, share) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.ceil(place);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** What one waited for: the first sound heard, or sent, where it was not heard. */
export const total = (turn) => turn.played ?? turn.audio;

/** A turn as bars: [{stage, from, to}]. A bar begins where the latest stage before it ended. */
export function bars(turn) {
  let reached = 0;
  return STAGES.filter((stage) => Number.isFinite(turn[stage])).map((stage) => {
    const to = Math.max(0, turn[stage]);
    const from = Math.min(reached, to);
    reached = Math.max(reached, to);
    return { stage, from, to };
  });
}

/** The round number at which a scale for these times ends: 250, 500, 1000, 2000 ... */
export function scaleEnd(times) {
  const most = Math.max(250, ...times.filter(Number.isFinite));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((end) => end >= most);
}
