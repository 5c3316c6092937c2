"""A chat endpoint whose answers follow from what it is asked: the language model of these tests.

The embedded one cannot call tools, and what it says cannot be foretold. The rules, first to match:

- after a tool's result: `The tool says RESULT.`
- tools are there, and a choice other than none: the first of them is called for the city of Paris
- the instructions ask for a failure: the status 400
- the instructions ask for a story: one that takes a minute to tell
- else: `You said: ` and what the user said last

A word counts as a token where the length is limited.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CITY = "Paris"
STORY = " ".join(
    f"Then the old sailor opened door number {n} and found nothing behind it but the sea."
    for n in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
)
WORDS_A_CHUNK = 3
NO_LIMIT = 1_000_000


class Chat:
    """`url` is its address, `requests` are the bodies that came, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []


@contextmanager
def serve() -> Iterator[Chat]:
    """On a free port of this machine, in threads of its own, until the block is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    chat = Chat(f"http://127.0.0.1:{server.server_port}/v1")
    server.chat = chat  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="chat")
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.chat.requests.append(asked)  # type: ignore[attr-defined]
        if instructed(asked, "fail"):
            self.send_error(400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for chunk in answer(asked):
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:
            pass  # the reply was interrupted

    def log_message(self, format: str, *args: Any) -> None:
        pass


def answer(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of the stream."""
    messages = asked["messages"]
    last, most = messages[-1], asked.get("max_tokens") or NO_LIMIT
    if last["role"] == "tool":
        yield from _text(f"The tool says {text_of(last)}.", most)
    elif asked.get("tools") and asked.get("tool_choice") != "none":
        yield from _call(asked["tools"][0]["function"]["name"])
    elif instructed(asked, "story"):
        yield from _text(STORY, most)
    else:
        spoken = [text_of(m) for m in messages if m["role"] == "user"]
        yield from _text(f"You said: {spoken[-1] if spoken else 'nothing.'}", most)


def instructed(asked: dict[str, Any], word: str) -> bool:
    return any(m["role"] == "system" and word in text_of(m) for m in asked["messages"])


def text_of(message: dict[str, Any]) -> str:
    """A message's text, whichever way it is written."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def _text(text: str, max_words: int) -> Iterator[dict[str, Any]]:
    words = text.split(" ")
    for n in range(0, min(len(words), max_words), WORDS_A_CHUNK):
        piece = " ".join(words[n : min(n + WORDS_A_CHUNK, max_words)])
        yield _chunk({"content": piece if n == 0 else f" {piece}"})
    yield _chunk({}, "stop" if len(words) <= max_words else "length")


def _call(name: str) -> Iterator[dict[str, Any]]:
    """A call as endpoints stream it: the head, then its arguments in parts."""
    head = {"index": 0, "id": "call_0", "type": "function"}
    yield _chunk({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
    for part in ('{"city"', f': "{CITY}"', "}"):
        yield _chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    yield _chunk({}, "tool_calls")


def _chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chat_0",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
