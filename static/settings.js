// What a person can set: read from anything, kept in the browser, shared as a link, sent as a
// session. Pure. "" stands for what the server does on its own.
//
// A link carries its settings behind #, which no server sees. The key is not among them, and
// neither are devices and volume: they are this machine's.

export const DEFAULTS = {
  instructions: "",
  voice: "",
  language: "", // a code, as "en"
  turns: "", // what ends a turn: "", "pause" (of pauseMs) or "meaning" (with eagerness)
  pauseMs: 500,
  eagerness: "auto",
  pushToTalk: false,
  input: "", // ids of devices
  output: "",
  volume: 1,
};

const SHARED = ["instructions", "voice", "language", "turns", "pauseMs", "eagerness", "pushToTalk"];
const ENTRY = "banter.settings";
const MAX_INSTRUCTIONS = 20_000;

const CHOICES = { turns: ["", "pause", "meaning"], eagerness: ["auto", "low", "medium", "high"] };
const RANGES = { pauseMs: [100, 3000], volume: [0, 1] };

/** Whole settings of an object of any content; what cannot be used becomes the default. */
export function normalise(given) {
  const entries = Object.entries(DEFAULTS).map(([name, standard]) => {
    const value = given?.[name];
    return [name, value === undefined ? standard : valid(name, value, standard)];
  });
  return Object.fromEntries(entries);
}

function valid(name, value, standard) {
  if (name in CHOICES) return CHOICES[name].includes(value) ? value : standard;
  if (name in RANGES) {
    const [least, most] = RANGES[name];
    const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
    if (!Number.isFinite(number)) return standard;
    const within = Math.max(least, Math.min(most, number));
    return name === "pauseMs" ? Math.round(within) : within; // the server takes whole ones only
  }
  if (name === "language") return /^[a-z]{2,3}$/.test(value) ? value : standard;
  if (typeof standard === "boolean") return value === true || value === "true";
  return typeof value === "string" ? value.slice(0, MAX_INSTRUCTIONS) : standard;
}

/**
 * The session of a `session.update`. `created` is the server's own, of `session.created`: with it,
 * what is not set is said as it was at first, which takes back an update before.
 */
export function toSession(settings, created = null) {
  const { instructions, voice, language, turns, pauseMs, eagerness } = settings;
  const own = created?.audio?.input;
  const transcription = { model: "whisper-1" };
  if (language !== "") transcription.language = language;
  else if (created) transcription.language = own?.transcription?.language ?? null;
  const session = { type: "realtime", audio: { input: { transcription } } };
  if (turns === "pause") {
    session.audio.input.turn_detection = { type: "server_vad", silence_duration_ms: pauseMs };
  }
  if (turns === "meaning") session.audio.input.turn_detection = { type: "semantic_vad", eagerness };
  if (turns === "" && created) session.audio.input.turn_detection = ownTurns(own?.turn_detection);
  const spoken = voice || created?.audio?.output?.voice;
  if (spoken) session.audio.output = { voice: spoken };
  if (instructions || created) session.instructions = instructions || created.instructions || "";
  return session;
}

// The server tells a pause even where it finds the right one by itself; said back, it would be fixed.
function ownTurns(detection) {
  const { silence_duration_ms, ...rest } = detection ?? { type: "server_vad" };
  return rest.type === "server_vad" ? rest : detection;
}

/**
 * The sessions that lead from one setting to another, to be sent one after the other. A pause that
 * was set can only be unset by ending turn detection first: null changes nothing in it.
 */
export function toUpdates(before, after, created) {
  const unset = before.turns === "pause" && after.turns === "";
  const updates = [toSession(after, created)];
  if (unset) updates.unshift({ type: "realtime", audio: { input: { turn_detection: null } } });
  return updates;
}

/** The page's address with the settings that differ from the defaults. */
export function toUrl(settings, { origin, pathname }) {
  const shared = SHARED.filter((name) => settings[name] !== DEFAULTS[name]);
  const fragment = new URLSearchParams(shared.map((name) => [name, String(settings[name])]));
  return origin + pathname + (shared.length > 0 ? `#${fragment}` : "");
}

/** The settings that an address carries, {} for none. */
export function fromUrl({ hash }) {
  const given = Object.fromEntries(new URLSearchParams(hash.slice(1)));
  const whole = normalise(given);
  return Object.fromEntries(
    SHARED.filter((name) => name in given).map((name) => [name, whole[name]]),
  );
}

export function load(storage) {
  try {
    return normalise(JSON.parse(storage.getItem(ENTRY)));
  } catch {
    return { ...DEFAULTS }; // none kept, or damaged, or storage is blocked
  }
}

export function store(storage, settings) {
  try {
    storage.setItem(ENTRY, JSON.stringify(settings));
  } catch {
    // blocked or full: they hold until the page is closed
  }
}
