import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../static/history.js";

const said = (history) => history.items().map(({ role, content: [{ text }] }) => [role, text]);

test("both sides are told in the form of the protocol, in the order of the conversation", () => {
  const history = new History();
  history.open("user_1", "user");
  history.append("reply_1", "It is ", 0);
  history.append("reply_1", "noon.", 2400);
  history.set("user_1", "user", "What time is it?"); // a transcript may be late
  assert.deepEqual(history.items(), [
    {
      id: "user_1",
      type: "message",
      role: "user",
      content: [{ type: "input_text", text: "What time is it?" }],
    },
    {
      id: "reply_1",
      type: "message",
      role: "assistant",
      content: [{ type: "output_text", text: "It is noon." }],
    },
  ]);
});

test("of a reply that was cut, the whole pieces that were heard remain, and a share of one", () => {
  const history = new History();
  history.append("reply_1", "One two. ", 0);
  history.append("reply_1", "Three four five six. ", 10_000);
  history.append("reply_1", "Seven eight.", 20_000);
  history.cut("reply_1", 15_000, 24_000);
  assert.deepEqual(said(history), [["assistant", "One two. Three four"]]);
});

test("words that come piece by piece before their audio share it", () => {
  const history = new History();
  for (const word of ["One ", "two ", "three ", "four"]) history.append("reply_1", word, 0);
  history.cut("reply_1", 5_000, 10_000);
  assert.deepEqual(said(history), [["assistant", "One two"]]);
});

test("a piece whose audio never came was not heard", () => {
  const history = new History();
  history.append("reply_1", "Heard. ", 0);
  history.append("reply_1", "Not heard.", 10_000);
  history.cut("reply_1", 10_000, 10_000);
  assert.deepEqual(said(history), [["assistant", "Heard."]]);
});

test("what the server says was heard replaces the estimate", () => {
  const history = new History();
  history.append("reply_1", "One two three.", 0);
  history.cut("reply_1", 0, 10_000);
  assert.deepEqual(said(history), []);
  history.set("reply_1", "assistant", "One");
  assert.deepEqual(said(history), [["assistant", "One"]]);
});

test("what was not speech is not told", () => {
  const history = new History();
  history.open("user_1", "user");
  history.set("user_1", "user", "");
  assert.deepEqual(history.items(), []);
});

test("the newest forty are kept", () => {
  const history = new History();
  for (let i = 0; i < 50; i++) history.set(`user_${i}`, "user", `${i}`);
  assert.equal(history.items().length, 40);
  assert.deepEqual(said(history)[0], ["user", "10"]);
});
