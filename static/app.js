// The page: one button, the state in words, errors, and the call behind them.
//
// For tests and for finding faults, `window.banter` shows {state, events, audio}: the present
// state, the last MAX_EVENTS events of both sides as {at, from, event} (`at` in ms of
// performance.now()), and the figures of the call (see call.js).

import { Call } from "./call.js";
import { Meter } from "./meter.js";
import { INITIAL, next } from "./states.js";
import { BUTTON, microphoneNotice, notices, STATE_WORDS } from "./strings.js";
import { Transcript } from "./transcript.js";

const MAX_EVENTS = 1000;

const find = (id) => document.getElementById(id);
const meter = new Meter(find("meter"));
const transcript = new Transcript(find("panel"), find("lines"));
const events = [];
let state = INITIAL;
let call = null;
let figures = {}; // of the last call, when there is none

function move(event) {
  state = next(state, event);
  show();
}

function show() {
  const { word, hint } = STATE_WORDS[state];
  document.body.dataset.state = state;
  setText(find("word"), word);
  setText(find("hint"), hint);
  setText(find("label"), state === "paused" ? BUTTON.resume : call ? BUTTON.stop : BUTTON.start);
}

// A live region speaks when its text is set, even to the same words.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function notify(text) {
  find("notice-text").textContent = text;
  find("notice").hidden = text === "";
}

function log(from, event) {
  events.push({ at: performance.now(), from, event });
  if (events.length > MAX_EVENTS) events.shift();
}

async function begin() {
  notify("");
  const problem = environmentProblem();
  if (problem !== null) return notify(problem);
  const mine = new Call({ move, notify, fail: (text) => end(mine, text), log, meter, transcript });
  call = mine;
  transcript.clear();
  move("start");
  meter.start();
  try {
    await mine.open();
  } catch (error) {
    console.error(error);
    end(mine, microphoneNotice(error) ?? notices.startFailed(error));
  }
}

function end(ending, text = "") {
  if (ending !== call) return; // ended before, for another reason
  figures = call.audio;
  call.close();
  call = null;
  meter.stop();
  transcript.settle();
  move("stop");
  notify(text);
}

function environmentProblem() {
  if (!window.isSecureContext) return notices.insecureOrigin(window.location);
  if (!navigator.mediaDevices || !window.AudioWorkletNode) return notices.unsupported;
  return null;
}

find("toggle").addEventListener("click", () => {
  if (state === "paused") call.resume();
  else if (call) end(call);
  else begin();
});
find("dismiss").addEventListener("click", () => {
  notify("");
  find("toggle").focus();
});

window.banter = {
  events,
  get state() {
    return state;
  },
  get audio() {
    return call ? call.audio : figures;
  },
};

show();
find("toggle").disabled = false;
