// The socket: JSON events as text, audio as binary both ways. It knows no meaning of any event.

import { decodeFrame } from "./frame.js";

// If the network stands still, microphone audio beyond this is dropped and counted, not gathered.
const MAX_UNSENT_BYTES = 240_000; // 5 s of audio

export function socketUrl({ protocol, host }) {
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}/v1/realtime?audio=binary`;
}

/** A server with keys wants one. The page's address may carry it, where no server sees it: /#key=KEY */
export function protocolsOf({ hash }) {
  const key = new URLSearchParams(hash.slice(1)).get("key");
  return key ? ["realtime", `openai-insecure-api-key.${key}`] : [];
}

/** Why the server lets nobody in: {status, reason}; null if it cannot be asked. */
export async function askRefusal() {
  try {
    const answer = await fetch("/ready", { signal: AbortSignal.timeout(3_000) });
    return await answer.json();
  } catch {
    return null;
  }
}

export class Connection {
  droppedChunks = 0;
  sentChunks = 0;
  #socket;
  #opened = false;

  /** Handlers: onEvent(event), onFrame(frame), onClose({code, reason, opened}). */
  constructor(url, protocols, { onEvent, onFrame, onClose }) {
    this.#socket = new WebSocket(url, protocols);
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
      return;
    }
    this.#socket.send(pcm);
    this.sentChunks += 1;
  }

  /** Leaves politely; onClose is not called. */
  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
  }
}
