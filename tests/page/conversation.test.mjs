// What the page does with the server's events, told as stories; no socket, no sound, no document.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../../static/conversation.js";
import { next } from "../../static/states.js";

const MS = 24; // samples in a millisecond

// A conversation whose neighbours write down what they are asked, in one list.
function begin({ played = 0 } = {}) {
  const story = [];
  const write = (name) => (...args) => story.push([name, ...args]);
  const transcript = new Proxy({}, { get: (_, name) => write(name) });
  const player = {
    play: ({ responseNumber }) => story.push(["play", responseNumber]),
    end: write("end"),
    flush: async (number) => (story.push(["flush", number]), played),
  };
  const page = { state: "connecting", story, send: write("send"), notify: write("notify") };
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
  page.hear("session.created");
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

test("the greeting is answered with the session's wishes", () => {
  const page = begin();
  assert.equal(page.state, "listening");
  const [[event]] = page.told("send");
  assert.deepEqual(event, {
    type: "session.update",
    session: { type: "realtime", audio: { input: { transcription: { model: "whisper-1" } } } },
  });
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
    [{ type: "conversation.item.truncate", item_id: "reply_1", content_index: 0, audio_end_ms: 480 }],
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
  assert.deepEqual(page.told("send"), [[{ type: "conversation.item.retrieve", item_id: "reply_1" }]]);
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

test("speaking on while the answer is only thought of drops it silently", async () => {
  const page = begin();
  turn(page);
  page.story.length = 0;
  page.hear("input_audio_buffer.speech_started", { item_id: "user_2" });
  await null;
  assert.equal(page.state, "hearing");
  assert.deepEqual(page.told("send"), []);
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
