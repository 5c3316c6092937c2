// Every English sentence that the scripts show; what never changes stands in index.html.

export const STATE_WORDS = {
  idle: { word: "Ready", hint: "Press the button and speak." },
  connecting: { word: "Connecting", hint: "Allow the microphone if asked." },
  listening: { word: "Listening", hint: "Say something." },
  hearing: { word: "You are speaking", hint: "Pause when you have finished." },
  thinking: { word: "Thinking", hint: "The answer is on its way." },
  speaking: { word: "Speaking", hint: "Talk over it to interrupt." },
  interrupted: { word: "Interrupted", hint: "Go on, you have the floor." },
  muted: { word: "Muted", hint: "Your microphone is off." },
  reconnecting: { word: "Reconnecting", hint: "The conversation goes on when the server is back." },
  paused: { word: "Paused by the browser", hint: "Press the button to go on." },
};

export const BUTTON = { start: "Start talking", stop: "Stop", resume: "Continue" };

/** What the hint says instead, while a button decides when one speaks. */
export const BY_HAND_HINTS = {
  listening: "Hold the button or the space bar and speak.",
  hearing: "Let go when you have finished.",
  speaking: "Hold the button to interrupt.",
  interrupted: "Let go when you have finished.",
};

export const SPEAKERS = { user: "You", reply: "Banter", tool: "Tool" };

export const NOTES = {
  cut: "interrupted",
  resumed: "broken off, and taken up again",
  unheard: "not heard",
  lost: "the connection was lost",
  incomplete: "cut short: the answer was too long",
  untranscribed: "This could not be transcribed.",
};

export const notices = {
  insecureOrigin: ({ host, port }) =>
    `Browsers give the microphone only to secure pages, and http://${host} is not one. ` +
    `Open this page over https, or on the server's own machine as http://localhost:${port}. ` +
    `From another machine, "ssh -L ${port}:localhost:${port} <server>" makes that address work there.`,
  unsupported: "This browser is too old to talk with: it has no audio worklets.",
  noGreeting:
    "The server took the call but does not answer. It may be busy; try again in a moment.",
  replyFailed: (reason) => `The answer failed. ${reason ?? "Please say it again."}`,
  serverError: ({ message }) => `The server reports: ${message ?? "an error without a message"}`,
  startFailed: (error) => `The conversation could not be started: ${error.message}`,
  pressTooShort: "That was too short. Hold the button while you speak.",
  heardBack:
    "The microphone hears the loudspeaker, so answers may interrupt themselves. " +
    "Use headphones, or turn the volume down.",
  /** `state` is the server's own, as in REFUSED. */
  comingBack: (state, waitS) =>
    `${COMING_BACK[state] ?? "The connection was lost."} Trying again in ${waitS} s.`,
  stayedAway: "The connection was lost and did not come back. Check the network, then start again.",
  needsKey: (given) =>
    given
      ? "The server does not accept this key."
      : "This server wants a key. It may also stand at the end of the address, as #key=…",
  endsSoon: ({ reason, seconds }) =>
    reason === "idle"
      ? `Nothing was said for a while: the conversation ends in ${seconds} s.`
      : `The conversation has lasted as long as one may: it begins anew in ${seconds} s.`,
  httpStatus: (status) => `The server answered with status ${status}.`,
  microphoneLost: "The microphone was disconnected. Connect one and start again.",
};

const MICROPHONE = {
  NotAllowedError:
    "The microphone is blocked. Allow it for this page, by the icon beside the address " +
    "or in the system's privacy settings, then start again.",
  NotFoundError: "No microphone was found. Connect one and start again.",
  NotReadableError:
    "The microphone cannot be read. Another program may be using it; close that and start again.",
};

/** What to say when opening the microphone threw; null for an error of another kind. */
export const microphoneNotice = (error) => MICROPHONE[error.name] ?? null;

const CLOSED = {
  1000: "The server ended the conversation.",
  1001: "The server is shutting down. Start again in a moment.",
  1008: "The server refused the conversation.",
  1011: "The server had an internal error and ended the conversation.",
  1013: "The server is busy. Try again in a moment.",
};

const COMING_BACK = {
  saturated: "The server is full.",
  busy: "The server has too much to do.",
  draining: "The server is restarting.",
  starting: "The server is starting.",
};

const REFUSED = {
  saturated: COMING_BACK.saturated,
  busy: COMING_BACK.busy,
  draining: CLOSED[1001],
  starting: "The server is starting. Try again in a moment.",
  origin: "The server takes no calls from this address; its --cors-origins has to list it.",
  ready: "The server refuses the connection, and does not say why.",
};

/** Why the socket was closed or not opened, in words; then the server's own reason, if any. */
export function closeNotice({ code, reason, opened }, refusal) {
  const lost = opened
    ? "The connection to the server was lost. Check the network, then start again."
    : "The server cannot be reached or refuses the connection. Check that it is running, then start again.";
  const words = REFUSED[refusal?.status] ?? CLOSED[code] ?? lost;
  const waitS = refusal?.reason ? 0 : refusal?.retryAfterS; // a reason says it itself
  const own = waitS ? `again in ${waitS} s` : (refusal?.reason ?? reason);
  return own ? `${words} (${own})` : words;
}

/** Short news, for a moment. */
export const SAID = {
  copied: "Copied.",
  linkCopied: "The link was copied.",
  notCopied: "The browser does not let this page copy.",
  downloaded: "Downloaded.",
  noSound: "There is no sound yet.",
  notKept: (error) => `That could not be saved: ${error.message}`,
  forgotten: "Downloaded: the last half hour; what was before is no longer kept.",
  fromLink: "Settings taken from the link.",
};

export const SETTINGS = {
  anyLanguage: "any: found out while you speak",
  ownVoice: "the server's own",
  systemDevice: "the system's choice",
  device: (number) => `Device ${number}`,
  pause: (ms) => `${(ms / 1000).toFixed(2)} s`,
  hearing: "Speaking …",
  hear: "Hear it",
};

/** What a voice says to be heard. */
export const SAMPLE = "Hello. This is how I sound when we talk to each other.";

export const CLONING = {
  record: "Record",
  stop: "Stop recording",
  stopAt: (seconds) => `Stop recording (${seconds} s)`,
  recorded: (seconds) => `Recorded ${seconds.toFixed(1)} s.`,
  noClip: "Record something, or choose a file.",
  sending: "The voice is being made …",
  added: (name) => `The voice ${name} is there now.`,
};

export const LATENCY = {
  none: "After each answer this shows where its time went, from the end of your words to the first sound.",
  median: "median",
  p95: "95\u00a0% are below",
  turns: "turns",
  chart: (times) => `Milliseconds until the answer was heard, over the turns: ${times.join(", ")}.`,
  legend: "First sound heard, turn by turn; the lines are the median and, dashed, 95\u00a0%.",
  columns: ["after the end of speech", "median", "95 %"],
  stages: {
    decision: "end of turn",
    transcript: "transcript",
    text: "first words",
    audio: "sound sent",
    played: "sound heard",
  },
  turn: (number, time) => `Turn ${number}: ${time}`,
  speculated: "prepared early",
};
