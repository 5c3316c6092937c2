// Every English sentence that the scripts show; what never changes stands in index.html.

export const STATE_WORDS = {
  idle: { word: "Ready", hint: "Press the button and speak." },
  connecting: { word: "Connecting", hint: "Allow the microphone if asked." },
  listening: { word: "Listening", hint: "Say something." },
  hearing: { word: "You are speaking", hint: "Pause when you have finished." },
  thinking: { word: "Thinking", hint: "The answer is on its way." },
  speaking: { word: "Speaking", hint: "Talk over it to interrupt." },
  interrupted: { word: "Interrupted", hint: "Go on, you have the floor." },
  paused: { word: "Paused by the browser", hint: "Press the button to go on." },
};

export const BUTTON = { start: "Start talking", stop: "Stop", resume: "Continue" };

export const SPEAKERS = { user: "You", reply: "Banter" };

export const NOTES = {
  cut: "interrupted",
  incomplete: "cut short: the answer was too long",
  untranscribed: "This could not be transcribed.",
};

export const notices = {
  insecureOrigin: ({ host, port }) =>
    `Browsers give the microphone only to secure pages, and http://${host} is not one. ` +
    `Open this page over https, or on the server's own machine as http://localhost:${port}. ` +
    `From another machine, "ssh -L ${port}:localhost:${port} <server>" makes that address work there.`,
  unsupported: "This browser is too old to talk with: it has no audio worklets.",
  noGreeting: "The server took the call but does not answer. It may be busy; try again in a moment.",
  replyFailed: (reason) => `The answer failed. ${reason ?? "Please say it again."}`,
  serverError: ({ message }) => `The server reports: ${message ?? "an error without a message"}`,
  startFailed: (error) => `The conversation could not be started: ${error.message}`,
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

const REFUSED = {
  saturated: "The server is full.",
  draining: CLOSED[1001],
  ready: "The server refuses. If it wants a key, put it at the end of the address, as #key=…, and reload.",
};

/** Why the socket was closed or not opened, in words; then the server's own reason, if any. */
export function closeNotice({ code, reason, opened }, refusal) {
  const lost = opened
    ? "The connection to the server was lost. Check the network, then start again."
    : "The server cannot be reached or refuses the connection. Check that it is running, then start again.";
  const words = REFUSED[refusal?.status] ?? CLOSED[code] ?? lost;
  const own = refusal?.reason ?? reason;
  return own ? `${words} (${own})` : words;
}
