// What the conversation is doing: one table, state -> event -> state. A missing pair is a bug.
//
//   ready            the server has greeted          turnDropped    no answer will come to this turn
//   speechStarted    the user speaks                 suspended      the browser paused all audio
//   speechStopped    the user's turn is over         resumed        ... and plays it again
//   replyCreated     an answer is on its way         muted          the microphone is off
//   playbackStarted  ... and can be heard            unmuted        ... and on again
//   playbackEnded    ... to its end                  lost           the connection is gone
//   interrupted      the user cut an answer that
//                    could be heard

export const INITIAL = "idle";

const FROM_OUTSIDE = [
  "ready",
  "speechStarted",
  "speechStopped",
  "replyCreated",
  "playbackStarted",
  "playbackEnded",
  "interrupted",
  "turnDropped",
  "suspended",
  "resumed",
  "muted",
  "unmuted",
  "lost",
];

// During a call anything may come from outside at any time; what is not named in a row leaves its
// state as it is.
const TABLE = {
  idle: { start: "connecting" },
  connecting: { ready: "listening", stop: "idle" },
  listening: during("listening", {
    speechStarted: "hearing",
    speechStopped: "thinking",
    replyCreated: "thinking",
    muted: "muted",
  }),
  muted: during("muted", {
    speechStopped: "thinking",
    replyCreated: "thinking",
    unmuted: "listening",
  }),
  hearing: during("hearing", { speechStopped: "thinking", muted: "muted" }),
  thinking: during("thinking", {
    speechStarted: "hearing",
    playbackEnded: "listening",
    turnDropped: "listening",
  }),
  speaking: during("speaking", { speechStarted: "hearing", playbackEnded: "listening" }),
  interrupted: during("interrupted", {
    speechStopped: "thinking",
    replyCreated: "thinking",
    muted: "muted",
  }),
  paused: during("paused", {
    playbackStarted: "paused",
    interrupted: "paused",
    lost: "paused",
    resumed: "listening",
  }),
  reconnecting: during("reconnecting", {
    playbackStarted: "reconnecting",
    interrupted: "reconnecting",
    ready: "listening",
  }),
};

export const STATES = Object.keys(TABLE);

export function next(state, event) {
  const following = TABLE[state]?.[event];
  if (following === undefined) throw new Error(`nothing follows ${event} in state ${state}`);
  return following;
}

function during(state, named) {
  const stays = Object.fromEntries(FROM_OUTSIDE.map((event) => [event, state]));
  const moves = {
    playbackStarted: "speaking",
    interrupted: "interrupted",
    suspended: "paused",
    lost: "reconnecting",
  };
  return { ...stays, ...moves, stop: "idle", ...named };
}
