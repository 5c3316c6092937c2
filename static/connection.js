// The socket: JSON events as text, audio as binary both ways. It knows no meaning of any event.

import { decodeFrame } from "./frame.js";

// If the network stands still, microphone audio beyond this is dropped and counted, not gathered.
const MAX_UNSENT_BYTES = 240_000; // 5 s of audio
const MAX_STUCK_CHUNKS = 500; // 10 s more: the line is dead, though the browser has not noticed
const ASK_TIMEOUT_MS = 3_000;
const LOST = { code: 1006, reason: "" };

export function socketUrl({ protocol, host }) {
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}/v1/realtime?audio=binary`;
}

/** The page's address may carry the server's key, where no server sees it: /#key=KEY */
export function keyOf({ hash }) {
  return new URLSearchParams(hash.slice(1)).get("key") ?? "";
}

const protocolsOf = (key) => (key ? ["realtime", `openai-insecure-api-key.${key}`] : []);

/**
 * Why the server lets nobody in, which browsers do not tell of a socket: {status, reason,
 * retryAfterS}; null if it cannot be asked. Beside its own states, `key` is a key that is missing
 * or wrong, `origin` a page from elsewhere, `starting` a proxy with no server behind it yet.
 */
export async function askRefusal(key) {
  const ask = (path, options) =>
    fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
  try {
    const answer = await ask("/ready");
    const told = await answer.json().catch(() => ({}));
    const retryAfterS = Number(answer.headers.get("Retry-After")) || 0;
    if (!answer.ok) return { status: GATEWAY[answer.status], retryAfterS, ...told };
    // With POST a browser says where the page is from; past the door it is only a wrong method.
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const door = await ask("/v1/models", { method: "POST", headers });
    return { ...told, status: DOOR[door.status] ?? "ready" };
  } catch {
    return null;
  }
}

const GATEWAY = { 502: "starting", 503: "starting", 504: "starting" };
const DOOR = { 401: "key", 403: "origin" };

export class Connection {
  droppedChunks = 0;
  sentChunks = 0;
  #socket;
  #onClose;
  #opened = false;
  #stuckChunks = 0;

  /** Handlers: onEvent(event), onFrame(frame), onClose({code, reason, opened}). */
  constructor(url, key, { onEvent, onFrame, onClose }) {
    this.#onClose = onClose;
    this.#socket = new WebSocket(url, protocolsOf(key));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => (this.#opened = true);
    this.#socket.onmessage = ({ data }) =>
      typeof data === "string" ? onEvent(JSON.parse(data)) : onFrame(decodeFrame(data));
    this.#socket.onclose = ({ code, reason }) => onClose({ code, reason, opened: this.#opened });
  }

  send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  /** An ArrayBuffer of PCM16. */
  sendAudio(pcm) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) {
      this.droppedChunks += 1;
      this.#stuckChunks += 1;
      if (this.#stuckChunks > MAX_STUCK_CHUNKS) this.giveUp();
      return;
    }
    this.#stuckChunks = 0;
    this.#socket.send(pcm);
    this.sentChunks += 1;
  }

  /** Leaves politely; onClose is not called. */
  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
  }

  /** Takes the line for dead before the browser does, which may need minutes. */
  giveUp() {
    this.close();
    this.#onClose({ ...LOST, opened: this.#opened });
  }
}
