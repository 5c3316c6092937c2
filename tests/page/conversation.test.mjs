// What the page does with the server's events, told as stories; no socket, no sound, no document.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../../static/conversation.js";
import { History } from "../../static/history.js";
import { next } from "../../static/states.js";

const MS = 24; // samples in a millisecond

// A conversation whose neighbours write down what they are asked, in one list.
function begin({ played = 0 } = {}) {
  const story = [];
  const write =
    (name) =>
    (...args) =>
      story.push([name, ...args]);
  const transcript = new Proxy({}, { get: (_, name) => write(name) });
  const player = {
    play: ({ responseNumber }) => story.push(["play", responseNumber]),
    end: write("end"),
    flush: async (number) => (story.push(["flush", number]), played),
  };
  const page = { state: "connecting", story, nowMs: 0, history: new History() };
  for (const name of ["send", "notify", "greet", "timing"]) page[name] = write(name);
  page.now = () => page.nowMs;
  page.move = (event) => (page.state = next(page.state, event));
  page.conversation = new Conversation({ ...page, player, transcript });
  page.hear = (type, fields = {}) => page.conversation.handle({ type, ...fields });
  page.audio = (responseNumber, offsetMs, ms) =>
    page.conversation.play({
      responseNumber,
      offsetSamples: offsetMs * MS,
      samples: new Int16Array(ms * MS),
    });
  page.told = (name) => story.filter(([first]) => first === name).map(([, ...args]) => args);
  page.hear("session.created", { session: { id: "sess_1" } });
  return page;
}

function turn(page, number = 1) {
  page.hear("input_audio_buffer.speech_started", { item_id: `user_${number}` });
  page.hear("input_audio_buffer.speech_stopped", { item_id: `user_${number}` });
  page.hear("response.created", { response_number: number, response: {} });
  const item = { id: `reply_${number}`, type: "message" };
  page.hear("response.output_item.added", { item });
}

const done = (status, details = null) => ({ response: { status, status_details: details } });

test("a new session is told what it has to know, and then the user may speak", () => {
  const page = begin();
  assert.equal(page.state, "listening");
  assert.deepEqual(page.told("greet"), [[{ id: "sess_1" }]]);
});

test("a whole turn: heard, thought, spoken, listening again", () => {
  const page = begin();
  turn(page);
  assert.equal(page.state, "thinking");
  page.audio(1, 0, 100);
  page.conversation.playbackStarted(1);
  assert.equal(page.state, "speaking");
  page.hear("response.output_audio.done");
  page.hear("response.done", done("completed"));
  assert.equal(page.state, "speaking", "what was sent has still to be heard");
  page.conversation.playbackEnded(1);
  assert.equal(page.state, "listening");
  assert.deepEqual(page.told("play"), [[1]]);
});

test("an interruption flushes first and then truncates at what was played", async () => {
  const page = begin({ played: 480 * MS });
  turn(page);
  page.audio(1, 0, 2000);
  page.conversation.playbackStarted(1);
  page.story.length = 0;
  page.hear("input_audio_buffer.speech_started", { item_id: "user_2" });
  assert.equal(page.state, "interrupted");
  assert.deepEqual(page.story[0], ["flush", 1]);
  assert.deepEqual(page.story[1], ["cutReply", "reply_1", "interrupted"]);
  await null;
  assert.deepEqual(page.told("send"), [
    [
      {
        type: "conversation.item.truncate",
        item_id: "reply_1",
        content_index: 0,
        audio_end_ms: 480,
      },
    ],
  ]);
  page.audio(1, 2000, 100);
  page.hear("response.done", done("cancelled"));
  assert.equal(page.conversation.staleFrames, 1);
  assert.equal(page.state, "interrupted");
});

test("a cut reply is shown as the server remembers it: what was heard", () => {
  const page = begin();
  turn(page);
  page.story.length = 0;
  page.hear("conversation.item.truncated", { item_id: "reply_1", audio_end_ms: 480 });
  assert.deepEqual(page.told("send"), [
    [{ type: "conversation.item.retrieve", item_id: "reply_1" }],
  ]);
  const content = [{ type: "output_audio", transcript: "Well, it" }];
  page.hear("conversation.item.retrieved", { item: { id: "reply_1", content } });
  page.hear("error", { error: { code: "item_retrieve_invalid_item_id", message: "unknown" } });
  assert.deepEqual(page.told("trimReply"), [["reply_1", "Well, it"]]);
  assert.deepEqual(page.told("notify"), []);
});

test("a reply that was heard to its end is not truncated", async () => {
  const page = begin({ played: 100 * MS });
  turn(page);
  page.audio(1, 0, 100);
  page.conversation.playbackStarted(1);
  page.hear("response.done", done("completed"));
  page.story.length = 0;
  page.hear("input_audio_buffer.speech_started", { item_id: "user_2" }); // before it was drained
  await null;
  assert.deepEqual(page.told("send"), []);
  turn(page, 2);
  page.audio(2, 0, 100);
  page.conversation.playbackStarted(2);
  page.conversation.playbackEnded(2);
  page.story.length = 0;
  page.hear("input_audio_buffer.speech_started", { item_id: "user_3" });
  assert.equal(page.state, "hearing");
  assert.deepEqual(page.told("flush"), []);
});

for (const ms of [0, 100]) {
  test(`a cut is told while more may be on its way, after all of ${ms} ms was heard`, async () => {
    const page = begin({ played: ms * MS });
    turn(page);
    page.audio(1, 0, ms);
    page.story.length = 0;
    page.hear("input_audio_buffer.speech_started", { item_id: "user_2" });
    await null;
    const [[truncate]] = page.told("send");
    assert.equal(truncate.type, "conversation.item.truncate");
    assert.equal(truncate.audio_end_ms, ms);
  });
}

test("speaking on while the answer is only thought of drops it silently", async () => {
  const page = begin();
  turn(page);
  page.story.length = 0;
  page.hear("input_audio_buffer.speech_started", { item_id: "user_2" });
  await null;
  assert.equal(page.state, "hearing");
  assert.deepEqual(page.told("notify"), []);
  page.audio(1, 0, 100);
  assert.equal(page.conversation.staleFrames, 1);
});

test("frames of any number but the current one are dropped", () => {
  const page = begin();
  page.audio(1, 0, 20);
  turn(page, 1);
  page.audio(1, 0, 20);
  page.hear("response.done", done("completed"));
  turn(page, 2);
  page.audio(1, 20, 20);
  page.audio(3, 0, 20);
  page.audio(2, 0, 20);
  assert.deepEqual(page.told("play"), [[1], [2]]);
  assert.equal(page.conversation.staleFrames, 3);
});

test("what the player says of an older reply moves nothing", () => {
  const page = begin();
  turn(page, 1);
  page.hear("response.done", done("completed"));
  turn(page, 2);
  page.conversation.playbackStarted(1);
  page.conversation.playbackEnded(1);
  assert.equal(page.state, "thinking");
});

test("an empty transcript takes its line away and listens again", () => {
  const page = begin();
  page.hear("input_audio_buffer.speech_started", { item_id: "user_1" });
  page.hear("input_audio_buffer.speech_stopped", { item_id: "user_1" });
  const type = "conversation.item.input_audio_transcription.completed";
  page.hear(type, { item_id: "user_1", transcript: " " });
  assert.deepEqual(page.told("closeUser"), [["user_1", ""]]);
  assert.equal(page.state, "listening");
});

test("a failed transcription is a note, a failed turn a message, and the call goes on", () => {
  const page = begin();
  page.hear("input_audio_buffer.speech_stopped", { item_id: "user_1" });
  page.hear("conversation.item.input_audio_transcription.failed", { item_id: "user_1", error: {} });
  assert.equal(page.told("noteUser").length, 1);
  assert.equal(page.state, "listening");
  page.hear("input_audio_buffer.speech_stopped", { item_id: "user_2" });
  page.hear("error", { error: { type: "server_error", message: "the model is asleep" } });
  assert.match(page.told("notify")[0][0], /the model is asleep/);
  assert.equal(page.state, "listening");
});

test("a failed or empty response ends the thinking", () => {
  const page = begin();
  turn(page, 1);
  page.hear("response.done", done("failed", { type: "failed", error: { message: "no voice" } }));
  assert.match(page.told("notify")[0][0], /no voice/);
  assert.equal(page.state, "listening");
  turn(page, 2);
  page.hear("response.done", done("completed"));
  assert.equal(page.state, "listening");
});

test("a reply that the server cancels goes silent; one that is too long says so", () => {
  const page = begin();
  turn(page, 1);
  page.audio(1, 0, 100);
  page.conversation.playbackStarted(1);
  page.hear("response.done", done("cancelled"));
  assert.deepEqual(page.told("flush"), [[1]]);
  assert.equal(page.state, "listening");
  turn(page, 2);
  page.audio(2, 0, 100);
  page.hear("response.done", done("incomplete"));
  assert.equal(page.told("noteReply").at(-1)[0], "reply_2");
});

test("after a pause of the browser a reply that still sounds is speaking again", () => {
  const page = begin();
  turn(page);
  page.audio(1, 0, 100);
  page.conversation.playbackStarted(1);
  page.move("suspended");
  page.conversation.resumed();
  assert.equal(page.state, "speaking");
});

test("events without a meaning here are let pass", () => {
  const page = begin();
  page.hear("rate_limits.updated", { rate_limits: [] });
  page.hear("banter.news");
  assert.equal(page.state, "listening");
});

const sent = (page) => page.told("send").map(([event]) => event.type);
const speak = (page, number, ms = 2000) => {
  turn(page, number);
  page.hear("response.output_audio_transcript.delta", {
    item_id: `reply_${number}`,
    delta: "One two three four.",
  });
  page.audio(number, 0, ms);
  page.conversation.playbackStarted(number);
};

test("written words cut a reply that sounds, in this order", async () => {
  const page = begin({ played: 500 * MS });
  speak(page, 1);
  page.story.length = 0;
  await page.conversation.write("And now?");
  assert.equal(page.state, "thinking");
  assert.deepEqual(sent(page), [
    "response.cancel",
    "conversation.item.truncate",
    "conversation.item.create",
    "response.create",
  ]);
  const { item } = page.told("send")[2][0];
  assert.match(item.id, /^item_[0-9a-f]{20}$/);
  assert.deepEqual(item.content, [{ type: "input_text", text: "And now?" }]);
  assert.deepEqual(page.told("closeUser"), [[item.id, "And now?"]]);
  assert.deepEqual(
    page.history.items().map(({ content: [{ text }] }) => text),
    ["One", "And now?"],
    "of the reply a quarter was heard",
  );
});

test("written words in a silence cancel nothing, and neither do they after the reply's end", async () => {
  const page = begin({ played: 100 * MS });
  await page.conversation.write("Hello.");
  assert.deepEqual(sent(page), ["conversation.item.create", "response.create"]);
  speak(page, 1, 100);
  page.hear("response.done", done("completed"));
  page.story.length = 0;
  await page.conversation.write("Hello again.");
  assert.deepEqual(sent(page), ["conversation.item.create", "response.create"]);
});

test("a response that was refused while another ran is asked for when that is over", () => {
  const page = begin();
  turn(page, 1);
  page.hear("error", { error: { code: "conversation_already_has_active_response" } });
  assert.deepEqual(sent(page), []);
  page.hear("response.done", done("completed"));
  page.hear("response.done", done("completed"));
  assert.deepEqual(sent(page), ["response.create"]);
  assert.deepEqual(page.told("notify"), []);
});

test("push-to-talk: a press clears what was heard, a release commits and asks", () => {
  const page = begin();
  page.conversation.press();
  assert.equal(page.state, "hearing");
  page.conversation.release(true);
  assert.equal(page.state, "thinking");
  const wanted = ["input_audio_buffer.clear", "input_audio_buffer.commit", "response.create"];
  assert.deepEqual(sent(page), wanted);
});

test("push-to-talk: a press cuts the reply that sounds", async () => {
  const page = begin({ played: 500 * MS });
  speak(page, 1);
  page.story.length = 0;
  page.conversation.press();
  assert.equal(page.state, "interrupted");
  await null;
  assert.deepEqual(page.told("flush"), [[1]]);
  assert.deepEqual(sent(page), [
    "response.cancel",
    "input_audio_buffer.clear",
    "conversation.item.truncate",
  ]);
});

test("an answer that was asked for and has not begun is cancelled, too", async () => {
  for (const again of [
    (page) => page.conversation.press(),
    (page) => page.conversation.write("B"),
  ]) {
    const page = begin();
    page.conversation.press();
    page.conversation.release(true);
    page.story.length = 0;
    await again(page);
    assert.equal(sent(page)[0], "response.cancel");
    page.story.length = 0;
    page.hear("response.created", { response_number: 1, response: {} });
    page.hear("response.done", done("cancelled"));
    assert.ok(!sent(page).includes("response.create"));
  }
});

test("a response that waits for another is not asked for after a press", () => {
  const page = begin();
  turn(page, 1);
  page.hear("error", { error: { code: "conversation_already_has_active_response" } });
  page.conversation.press();
  page.hear("response.done", done("cancelled"));
  assert.ok(!sent(page).includes("response.create"));
});

test("push-to-talk: a press too short is no turn and says so", () => {
  const page = begin();
  page.conversation.press();
  page.conversation.release(false);
  assert.deepEqual(sent(page), ["input_audio_buffer.clear", "input_audio_buffer.clear"]);
  assert.match(page.told("notify")[0][0], /too short/);
  assert.equal(page.state, "listening");
});

test("a committed turn has its line, even without an event of speech", () => {
  const page = begin();
  page.hear("input_audio_buffer.committed", { item_id: "user_1" });
  assert.deepEqual(page.told("openUser"), [["user_1"]]);
});

test("a lost connection: silence, and of the reply only what was heard is remembered", async () => {
  const page = begin({ played: 1000 * MS });
  speak(page, 1);
  page.conversation.lost();
  await null;
  assert.deepEqual(page.told("flush"), [[1]]);
  assert.deepEqual(page.told("cutReply"), [["reply_1", "the connection was lost"]]);
  assert.deepEqual(page.told("trimReply"), [["reply_1", "One two"]], "as no server can tell");
  assert.deepEqual(page.told("settle"), [["the connection was lost"]]);
  assert.equal(page.history.items()[0].content[0].text, "One two");
});

test("a reply of which nothing was heard is not remembered", async () => {
  const page = begin();
  turn(page, 1);
  page.hear("response.output_audio_transcript.delta", { item_id: "reply_1", delta: "Well." });
  page.conversation.lost();
  await null;
  assert.deepEqual(page.history.items(), []);
});

const TIMING = {
  item_id: "user_1",
  response_id: "resp_1",
  response_number: 1,
  end_of_speech_ms: 0,
  decision_ms: 300,
  transcript_ms: 350,
  text_ms: 400,
  audio_ms: 520,
  speculated: true,
};

for (const first of ["timing", "played"]) {
  test(`a turn's times are told once, when the last is known (${first} first)`, () => {
    const page = begin();
    turn(page, 1);
    page.nowMs = 10_000;
    page.audio(1, 0, 100);
    page.nowMs = 10_040;
    page.audio(1, 100, 100);
    page.nowMs = 10_070;
    const acts = [
      () => page.hear("banter.turn.timing", TIMING),
      () => page.conversation.playbackStarted(1),
    ];
    for (const act of first === "timing" ? acts : acts.reverse()) {
      assert.deepEqual(page.told("timing"), []);
      act();
    }
    page.conversation.playbackStarted(1); // after a pause of the browser
    assert.deepEqual(page.told("timing"), [
      [
        {
          itemId: "user_1",
          responseId: "resp_1",
          decision: 300,
          transcript: 350,
          text: 400,
          audio: 520,
          played: 590,
          speculated: true,
        },
      ],
    ]);
  });
}

test("times of another reply are let pass; without audio nothing is waited for", () => {
  const page = begin();
  page.hear("banter.turn.timing", TIMING);
  turn(page, 1);
  page.hear("banter.turn.timing", { ...TIMING, response_number: 2 });
  assert.deepEqual(page.told("timing"), []);
  page.hear("banter.turn.timing", { ...TIMING, audio_ms: null });
  assert.equal(page.told("timing")[0][0].played, null);
});

test("a call of a function is shown", () => {
  const page = begin();
  const call = { item_id: "call_1", name: "weather", arguments: '{"city":"Oslo"}' };
  page.hear("response.function_call_arguments.done", call);
  assert.deepEqual(page.told("callTool"), [["call_1", "weather", '{"city":"Oslo"}']]);
});
