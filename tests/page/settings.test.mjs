// Settings: what is read from anywhere becomes usable, what is shared holds no secret.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as settings from "../../static/settings.js";

const { DEFAULTS, fromUrl, load, normalise, store, toSession, toUpdates, toUrl } = settings;
const HOME = { origin: "https://talk.test", pathname: "/" };
const CREATED = {
  instructions: "Be brief.",
  audio: { input: { turn_detection: { type: "server_vad" } }, output: { voice: "default" } },
};
const memory = (kept = {}) => ({
  kept,
  getItem: (name) => kept[name] ?? null,
  setItem: (name, value) => (kept[name] = value),
});
const BLOCKED = {
  getItem() {
    throw new DOMException("no", "SecurityError");
  },
  setItem() {
    throw new DOMException("no", "QuotaExceededError");
  },
};

test("what cannot be used becomes the default, what is out of range the nearest", () => {
  for (const nothing of [null, undefined, {}, 7, "x", []]) {
    assert.deepEqual(normalise(nothing), DEFAULTS);
  }
  const odd = {
    turns: "often",
    pauseMs: "9000",
    eagerness: 3,
    volume: -1,
    voice: {},
    language: "x<",
    evil: 1,
  };
  assert.deepEqual(normalise(odd), { ...DEFAULTS, pauseMs: 3000, volume: 0 });
  assert.equal(normalise({ pauseMs: "333.3" }).pauseMs, 333);
  assert.equal(normalise({ volume: 0.3 }).volume, 0.3);
  assert.equal(normalise({ pauseMs: "" }).pauseMs, DEFAULTS.pauseMs);
  assert.equal(normalise({ pushToTalk: "true" }).pushToTalk, true);
  assert.equal(normalise({ instructions: "x".repeat(99_999) }).instructions.length, 20_000);
});

test("the defaults ask the server for words and leave the rest to it", () => {
  assert.deepEqual(toSession(DEFAULTS), {
    type: "realtime",
    audio: { input: { transcription: { model: "whisper-1" } } },
  });
});

test("what is set is said in the protocol's words", () => {
  const set = {
    instructions: "Sing.",
    voice: "anna",
    language: "de",
    turns: "pause",
    pauseMs: 700,
  };
  assert.deepEqual(toSession(normalise(set)), {
    type: "realtime",
    instructions: "Sing.",
    audio: {
      input: {
        transcription: { model: "whisper-1", language: "de" },
        turn_detection: { type: "server_vad", silence_duration_ms: 700 },
      },
      output: { voice: "anna" },
    },
  });
  const { turn_detection } = toSession(normalise({ turns: "meaning", eagerness: "low" })).audio
    .input;
  assert.deepEqual(turn_detection, { type: "semantic_vad", eagerness: "low" });
});

test("what is unset in a conversation goes back to what the server began with", () => {
  const before = normalise({
    instructions: "Sing.",
    voice: "anna",
    language: "de",
    turns: "pause",
  });
  const updates = toUpdates(before, DEFAULTS, CREATED);
  assert.deepEqual(updates, [
    { type: "realtime", audio: { input: { turn_detection: null } } },
    {
      type: "realtime",
      instructions: "Be brief.",
      audio: {
        input: {
          transcription: { model: "whisper-1", language: null },
          turn_detection: { type: "server_vad" },
        },
        output: { voice: "default" },
      },
    },
  ]);
  assert.equal(toUpdates(DEFAULTS, before, CREATED).length, 1);
});

test("what the server began with may be more than its name", () => {
  const unset = (turn_detection, transcription = null) => {
    const created = { audio: { input: { turn_detection, transcription } } };
    const session = toSession(DEFAULTS, created);
    return [session.audio.input.turn_detection, session.audio.input.transcription.language];
  };
  const meaning = { type: "semantic_vad", eagerness: "low", interrupt_response: false };
  assert.deepEqual(unset(meaning, { language: "de" }), [meaning, "de"]);
  const pause = { type: "server_vad", threshold: 0.7, silence_duration_ms: 500 };
  assert.deepEqual(unset(pause), [{ type: "server_vad", threshold: 0.7 }, null]);
  assert.deepEqual(unset(null), [{ type: "server_vad" }, null]);
  assert.equal(toSession(DEFAULTS, {}).instructions, "", "also where there were none");
  assert.equal("instructions" in toSession(DEFAULTS), false);
});

test("a link brings back what differs, and neither key nor device", () => {
  const mine = normalise({
    instructions: "Ä & b = #c\n+1%",
    voice: "anna",
    turns: "meaning",
    eagerness: "high",
    pushToTalk: true,
    input: "mic-7",
    output: "ear-7",
    volume: 0.4,
  });
  const link = new URL(toUrl({ ...mine, key: "secret" }, HOME));
  assert.ok(!/secret|mic-7|ear-7|volume/.test(link.href), link.href);
  const { input, output, volume } = DEFAULTS;
  assert.deepEqual(normalise(fromUrl(link)), { ...mine, input, output, volume });
  assert.equal(toUrl(DEFAULTS, HOME), "https://talk.test/");
  assert.deepEqual(fromUrl({ hash: "" }), {});
  assert.deepEqual(fromUrl({ hash: "#key=secret&input=x&turns=often" }), { turns: "" });
});

test("settings are kept; storage that is blocked or damaged does no harm", () => {
  const storage = memory();
  const mine = normalise({ voice: "anna", volume: 0.5 });
  store(storage, mine);
  assert.deepEqual(load(storage), mine);
  store(BLOCKED, mine);
  assert.deepEqual(load(BLOCKED), DEFAULTS);
  assert.deepEqual(load(memory({ "banter.settings": "{" })), DEFAULTS);
});
