// The page: the button, the state in words, errors, and the call behind them. What few people open
// (settings, latency, the ways to keep a conversation) is loaded when it is.
//
// For tests and for finding faults, `window.banter` shows {state, events, audio, turns}: the present
// state, the last MAX_EVENTS events of both sides as {at, from, event} (`at` in ms of
// performance.now()), the figures of the call (see call.js), and the times of its last MAX_TURNS
// turns (see latency.js).

import { Call } from "./call.js";
import { keyOf } from "./connection.js";
import { setText } from "./dom.js";
import { Hold } from "./hold.js";
import { loadKey, storageOf, storeKey } from "./key.js";
import { Meter } from "./meter.js";
import { fromUrl, load, normalise, store } from "./settings.js";
import { INITIAL, next } from "./states.js";
import * as strings from "./strings.js";
import { Transcript } from "./transcript.js";

const MAX_EVENTS = 1000;
const MAX_TURNS = 500;
const SAID_MS = 5_000;

const { BUTTON, notices, SAID } = strings;
const find = (id) => document.getElementById(id);
const kept = storageOf("localStorage");
const meter = new Meter(find("meter"));
const transcript = new Transcript(find("panel"), find("lines"));
const events = [];
const turns = [];
let state = INITIAL;
let call = null;
let last = null; // the call that is under way, or was the last
let began = null; // when that was
let session = null; // what the server says it is set to
let settings = load(kept);
let key = loadKey();
let muted = false;
let saidTimer = null;

let panel = null; // of the settings, once it was opened
let waterfall = null; // likewise

const hold = new Hold(find("hold"), (held) => call?.hold(held));

function move(event) {
  state = next(state, event);
  show();
  if (event === "ready" && settings.pushToTalk && document.activeElement === find("toggle"))
    find("hold").focus();
}

function show() {
  const { word, hint } = strings.STATE_WORDS[state];
  const byHand = settings.pushToTalk ? strings.BY_HAND_HINTS[state] : null;
  document.body.dataset.state = state;
  document.body.toggleAttribute("data-by-hand", settings.pushToTalk);
  hold.active = settings.pushToTalk && call !== null;
  setText(find("word"), word);
  setText(find("hint"), byHand ?? hint);
  setText(find("label"), state === "paused" ? BUTTON.resume : call ? BUTTON.stop : BUTTON.start);
  find("mute").setAttribute("aria-pressed", muted);
  find("by-hand").setAttribute("aria-pressed", settings.pushToTalk);
  find("volume").value = settings.volume;
  for (const field of find("write").elements) field.disabled = state === "reconnecting";
}

function notify(text) {
  find("notice-text").textContent = text;
  find("notice").hidden = text === "";
}

// News for a moment.
function say(text) {
  clearTimeout(saidTimer);
  setText(find("said"), text);
  saidTimer = setTimeout(() => setText(find("said"), ""), SAID_MS);
}

function log(from, event) {
  events.push({ at: performance.now(), from, event });
  if (events.length > MAX_EVENTS) events.shift();
  if (from === "server" && event.session) session = event.session;
}

function time(turn) {
  turns.push(turn);
  if (turns.length > MAX_TURNS) turns.shift();
  waterfall?.show();
}

async function begin() {
  notify("");
  const problem = environmentProblem();
  if (problem !== null) return notify(problem);
  const page = { move, notify, log, meter, transcript, timing: time };
  page.fail = (text) => end(mine, text);
  page.needKey = (text) => askKey(mine, text);
  page.devicesChanged = () => panel?.loadDevices();
  const { input, output, volume, pushToTalk } = settings;
  const mine = new Call(page, { settings, key, devices: { input, output }, volume, pushToTalk });
  call = last = mine;
  muted = false;
  transcript.clear();
  turns.length = 0;
  waterfall?.show();
  began = new Date();
  find("key-form").hidden = true;
  move("start");
  meter.start();
  try {
    await mine.open();
  } catch (error) {
    console.error(error);
    end(mine, strings.microphoneNotice(error) ?? notices.startFailed(error));
  }
}

function end(ending, text = "") {
  if (ending !== call) return; // ended before, for another reason
  call.close();
  call = null;
  meter.stop();
  transcript.settle();
  const wrote =
    find("write").contains(document.activeElement) || document.activeElement === find("hold");
  move("stop");
  if (wrote) find("toggle").focus(); // what had the focus has gone
  notify(text);
}

function askKey(ending, text) {
  end(ending, text);
  find("key-form").hidden = false;
  find("key").focus();
}

function environmentProblem() {
  if (!window.isSecureContext) return notices.insecureOrigin(window.location);
  if (!navigator.mediaDevices || !window.AudioWorkletNode) return notices.unsupported;
  return null;
}

/** Other settings: shown, told to the call, and kept if a person wished for them. */
function change(changed, isWish = true) {
  const before = settings;
  settings = changed;
  if (isWish) store(kept, settings);
  panel?.show(settings);
  if (settings.input !== before.input) call?.setInput(settings.input);
  if (settings.output !== before.output) call?.setOutput(settings.output);
  if (settings.volume !== before.volume) call?.setVolume(settings.volume);
  call?.configure(settings);
  show();
}

// A link may carry settings, and an address the key. Neither stays in the address bar, where it
// would be shared unseen; what comes from a link is not kept before the person changes something.
function adoptAddress() {
  const given = fromUrl(location);
  if (keyOf(location)) keepKey(keyOf(location));
  if (Object.keys(given).length > 0) {
    settings = normalise({ ...settings, ...given });
    say(SAID.fromLink);
  }
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

function keepKey(secret) {
  key = secret;
  storeKey(key);
}

async function settingsPanel() {
  const { SettingsPanel } = await import("./settings-panel.js");
  const onRecord = (records) => call?.mute(records || muted); // or the server would hear it too
  panel ??= new SettingsPanel(settings, () => key, { onChange: change, onRecord });
  return panel;
}

function conversation() {
  const about = { began: began.toISOString(), model: session?.model, session };
  const recording = last.recording();
  return { lines: transcript.lines, latency: turns, about, recording, began };
}

function on(id, type, act) {
  find(id).addEventListener(type, act);
}

on("toggle", "click", () => {
  if (state === "paused") call.resume();
  else if (call) end(call);
  else begin();
});
on("dismiss", "click", () => {
  notify("");
  find("toggle").focus();
});
on("key-form", "submit", (event) => {
  event.preventDefault();
  keepKey(find("key").value.trim());
  find("key").value = "";
  begin();
});
on("mute", "click", () => {
  muted = !muted;
  call?.mute(muted);
  show();
});
on("by-hand", "click", () => change({ ...settings, pushToTalk: !settings.pushToTalk }));
on("volume", "input", ({ target }) => {
  settings = { ...settings, volume: Number(target.value) };
  call?.setVolume(settings.volume);
});
on("volume", "change", () => store(kept, settings));
on("write", "submit", (event) => {
  event.preventDefault();
  const words = find("words").value.trim();
  if (words !== "" && call?.sendText(words)) find("words").value = "";
});
on("settings-open", "click", async () => (await settingsPanel()).open(session?.model));
on("latency-open", "click", async () => {
  const open = document.body.toggleAttribute("data-latency");
  find("latency").hidden = !open;
  find("latency-open").setAttribute("aria-expanded", open);
  const { Waterfall } = await import("./waterfall.js");
  waterfall ??= new Waterfall(find("latency"), turns, (itemId) => transcript.wordsOf(itemId));
  waterfall.show();
});
on("save-open", "click", () => import("./keeping.js")); // the clipboard wants an answer to the click
on("save", "click", async ({ target }) => {
  if (!target.value) return;
  find("save").hidePopover();
  try {
    const { keep } = await import("./keeping.js");
    say(await keep(target.value, conversation()));
  } catch (error) {
    console.error(error);
    say(SAID.notKept(error));
  }
});
window.addEventListener("hashchange", () => {
  adoptAddress();
  panel?.show(settings);
  call?.configure(settings);
  show();
});

window.banter = {
  events,
  get state() {
    return state;
  },
  get audio() {
    return last?.audio ?? {};
  },
  turns,
};

adoptAddress();
show();
if (settings.voice !== "") settingsPanel().then((made) => made.loadVoices()); // is it still there?
find("toggle").disabled = false;
