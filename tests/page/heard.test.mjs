// What was heard of a reply that was cut, and whether another takes it up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { goesOn, split } from "../../static/heard.js";

test("the heard words stay as they were written, the rest follows", () => {
  assert.deepEqual(split("Well, it depends.", "Well,"), ["Well,", " it depends."]);
  assert.deepEqual(split("One  two\nthree", "One two"), ["One  two", "\nthree"]);
  assert.deepEqual(split("It is", "It is"), ["It is", ""]);
  assert.deepEqual(split("It depends", ""), ["", "It depends"]);
  assert.deepEqual(split("Well, it", "well it"), ["Well, it", ""]);
});

test("other words than those written are shown as the server has them", () => {
  assert.deepEqual(split("Well, it depends.", "Something else"), ["Something else", ""]);
  assert.deepEqual(split("Short", "Short and longer"), ["Short and longer", ""]);
  assert.deepEqual(split("Hello there.", "Hello there. –"), ["Hello there. –", ""]);
});

test("a reply goes on with the words that were not heard", () => {
  assert.ok(goesOn(" it depends on much", "it depends on much, I say"));
  assert.ok(goesOn(" it depends.", "It depends"));
  assert.ok(!goesOn(" it depends on much", "it depends"), "too little is known yet");
  assert.ok(!goesOn(" it depends on much", "It is far away."));
  assert.ok(!goesOn("", "It is"));
});
