// What the conversation is doing: one table, state -> event -> state. A missing pair is a bug.
//
//   ready            the server has greeted          turnDropped    no answer will come to this turn
//   speechStarted    the user speaks                 suspended      the browser paused all audio
//   speechStopped    the user's turn is over         resumed        ... and plays it again
//   replyCreated     an answer is on its way         interrupted    the user cut an answer that
//   playbackStarted  ... and can be heard                           could be heard
//   playbackEnded    ... to its end

export const INITIAL = "idle";

const TABLE = {
  idle: { start: "connecting" },
  connecting: { ready: "listening", stop: "idle" },
  listening: {
    speechStarted: "hearing",
    speechStopped: "thinking",
    replyCreated: "thinking",
    playbackStarted: "speaking",
    playbackEnded: "listening",
    interrupted: "interrupted",
    turnDropped: "listening",
    suspended: "paused",
    resumed: "listening",
    stop: "idle",
  },
  hearing: {
    speechStarted: "hearing",
    speechStopped: "thinking",
    replyCreated: "hearing",
    playbackStarted: "speaking",
    playbackEnded: "hearing",
    interrupted: "interrupted",
    turnDropped: "hearing",
    suspended: "paused",
    resumed: "hearing",
    stop: "idle",
  },
  thinking: {
    speechStarted: "hearing",
    speechStopped: "thinking",
    replyCreated: "thinking",
    playbackStarted: "speaking",
    playbackEnded: "listening",
    interrupted: "interrupted",
    turnDropped: "listening",
    suspended: "paused",
    resumed: "thinking",
    stop: "idle",
  },
  speaking: {
    speechStarted: "hearing",
    speechStopped: "speaking",
    replyCreated: "speaking",
    playbackStarted: "speaking",
    playbackEnded: "listening",
    interrupted: "interrupted",
    turnDropped: "speaking",
    suspended: "paused",
    resumed: "speaking",
    stop: "idle",
  },
  interrupted: {
    speechStarted: "interrupted",
    speechStopped: "thinking",
    replyCreated: "thinking",
    playbackStarted: "speaking",
    playbackEnded: "interrupted",
    interrupted: "interrupted",
    turnDropped: "interrupted",
    suspended: "paused",
    resumed: "interrupted",
    stop: "idle",
  },
  paused: {
    speechStarted: "paused",
    speechStopped: "paused",
    replyCreated: "paused",
    playbackStarted: "paused",
    playbackEnded: "paused",
    interrupted: "paused",
    turnDropped: "paused",
    suspended: "paused",
    resumed: "listening",
    stop: "idle",
  },
};

export const STATES = Object.keys(TABLE);

export function next(state, event) {
  const following = TABLE[state]?.[event];
  if (following === undefined) throw new Error(`nothing follows ${event} in state ${state}`);
  return following;
}
