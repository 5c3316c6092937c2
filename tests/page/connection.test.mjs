// The socket and what is asked beside it, with a network that a test makes up.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { askRefusal, Connection, keyOf, socketUrl } from "../../static/connection.js";

const { fetch, WebSocket } = globalThis;
afterEach(() => Object.assign(globalThis, { fetch, WebSocket }));

// Answers of the server by path; a path that is missing cannot be reached.
function serve(answers) {
  const asked = [];
  globalThis.fetch = async (path, options) => {
    asked.push([path, options]);
    const { status = 200, body = null, headers = {} } = answers[path] ?? assert.fail();
    return new Response(body && JSON.stringify(body), { status, headers });
  };
  return asked;
}

const READY = { body: { status: "ready" } };

test("a full server says so, and for how long", async () => {
  const body = { status: "saturated", reason: "all 2 places are taken" };
  serve({ "/ready": { status: 503, body, headers: { "Retry-After": "7" } } });
  assert.deepEqual(await askRefusal(""), { ...body, retryAfterS: 7 });
});

test("a proxy without a server behind it means that one is starting", async () => {
  for (const status of [502, 503, 504]) {
    serve({ "/ready": { status } });
    assert.equal((await askRefusal("")).status, "starting");
  }
});

test("where callers are let in, the door tells what is wrong with this one", async () => {
  for (const [status, found] of [
    [401, "key"],
    [403, "origin"],
    [405, "ready"],
  ]) {
    const asked = serve({ "/ready": READY, "/v1/models": { status } });
    assert.equal((await askRefusal("sesame")).status, found);
    assert.equal(asked[1][1].method, "POST");
    assert.deepEqual(asked[1][1].headers, { Authorization: "Bearer sesame" });
  }
});

test("who cannot be asked says nothing", async () => {
  serve({});
  assert.equal(await askRefusal(""), null);
});

class Socket {
  static OPEN = 1;
  readyState = Socket.OPEN;
  bufferedAmount = 0;
  sent = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    Socket.last = this;
  }

  send(data) {
    this.sent.push(data);
  }

  close(code) {
    this.closedWith = code;
  }
}

function connect(key = "") {
  globalThis.WebSocket = Socket;
  const closes = [];
  const handlers = { onEvent() {}, onFrame() {}, onClose: (close) => closes.push(close) };
  const connection = new Connection("ws://here", key, handlers);
  Socket.last.onopen();
  return { connection, closes, socket: Socket.last };
}

test("a key goes as a protocol beside the real one, and comes from the address", () => {
  assert.deepEqual(connect("sesame").socket.protocols, [
    "realtime",
    "openai-insecure-api-key.sesame",
  ]);
  assert.deepEqual(connect().socket.protocols, []);
  assert.equal(keyOf({ hash: "#voice=anna&key=sesame" }), "sesame");
  assert.equal(keyOf({ hash: "" }), "");
  const page = { protocol: "https:", host: "banter.example" };
  assert.equal(socketUrl(page), "wss://banter.example/v1/realtime?audio=binary");
});

test("audio that the network does not take is dropped; after long, the line is dead", () => {
  const { connection, closes, socket } = connect();
  connection.sendAudio(new ArrayBuffer(960));
  socket.bufferedAmount = 300_000;
  for (let i = 0; i < 500; i++) connection.sendAudio(new ArrayBuffer(960));
  assert.deepEqual([connection.sentChunks, connection.droppedChunks], [1, 500]);
  assert.deepEqual(closes, []);
  connection.sendAudio(new ArrayBuffer(960));
  assert.deepEqual(closes, [{ code: 1006, reason: "", opened: true }]);
  assert.equal(socket.onmessage, null, "what still comes belongs to nobody");
});

test("a network that was only slow for a while is not given up", () => {
  const { connection, closes, socket } = connect();
  for (let i = 0; i < 1_000; i++) {
    socket.bufferedAmount = i % 400 === 0 ? 0 : 300_000;
    connection.sendAudio(new ArrayBuffer(960));
  }
  assert.deepEqual(closes, []);
});
