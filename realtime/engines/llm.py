"""SmolLM2 in this process: llama.cpp's own server behind a private socket, streamed.

llama.cpp batches its slots continuously and has an HTTP server of its own, so Banter talks to that
one instead of blocking a thread for each generation: closing the connection stops the work even
while a prompt is being read, which the in-process call cannot do. The server listens on a Unix
socket in a private folder (elsewhere on a loopback port), with a random key in either case.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Hashable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from realtime.conversation import Message, newer_half
from realtime.engines import Delta
from realtime.errors import ReplyError, Saturated

log = logging.getLogger("banter.llm")

SLOTS = 4
SLOT_TOKENS = 1_024
"""A slot's context. On two cores a token takes 7 ms after 50 tokens of context, 10 after 350 and 16
after 1,500, and a model of this size makes nothing of a longer history."""

MAX_CALLERS = 64
"""Replies being written or waiting for a slot, first come first served; a session has one at a
time.
Beyond that a reply is refused."""

REPLY_TOKENS = 64
"""The longest reply: some 16 s of speech."""

PROMPT_BATCH = 128
"""Prompt tokens read at a time: others' tokens come between, so a long prompt stalls nobody."""

PROMPT_CACHE_MIB = 256
FIRST_TOKEN_TIMEOUT_S = 20.0
SAMPLING = {
    "temperature": 0.4,
    "top_p": 0.9,
    "repeat_penalty": 1.1,
    # a small model falls into saying the same again and again; DRY makes a repeated run of tokens
    # the less likely the longer it is
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 512,
    "cache_prompt": True,
}


class EmbeddedReplier:
    """`load` and `warm` block; `reply` is for the event loop."""

    prompt_tokens = SLOT_TOKENS - REPLY_TOKENS - 64

    def __init__(self, path: Path, *, threads: int) -> None:
        self._path, self._threads = path, threads
        self._key = secrets.token_urlsafe(32)
        self._folder: str | None = None
        self._server: Any = None
        self._client: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(SLOTS)
        self._callers = 0

    def load(self) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx, params.n_parallel = SLOTS * SLOT_TOKENS, SLOTS
        params.n_batch = params.n_ubatch = PROMPT_BATCH
        params.cache_ram_mib = PROMPT_CACHE_MIB
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = self._threads, 0
        params.n_threads_http = SLOTS + 2
        params.api_keys, params.verbosity, params.ui = [self._key], 0, False
        params.hostnames = [self._address()]
        self._server = xllamacpp.Server(params)

    def _address(self) -> str:
        if sys.platform == "win32":
            return "127.0.0.1"
        self._folder = tempfile.mkdtemp(prefix="banter-llm-")  # mode 0700
        return f"{self._folder}/llm.sock"

    def start(self) -> None:
        connector: aiohttp.BaseConnector
        if self._folder:
            # llama.cpp closes a streamed connection at its end: nothing to keep alive
            connector = aiohttp.UnixConnector(f"{self._folder}/llm.sock", force_close=True)
            base = "http://llm"
        else:
            connector = aiohttp.TCPConnector(force_close=True)
            base = str(self._server.listening_address)
        self._client = aiohttp.ClientSession(
            base_url=base,
            connector=connector,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_read=FIRST_TOKEN_TIMEOUT_S),
        )

    async def warm(self, instructions: str) -> None:
        """One real reply, with the instructions that most sessions begin with."""
        prompt = [Message("system", instructions), Message("user", "Hello.")]
        async for _ in self.reply(prompt, max_tokens=4, owner=None):
            pass

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Read the history while the caller is still speaking, so that only the new words are left.

        Skipped while more than half of the slots are busy; a failure is no loss.
        """
        if self._callers > SLOTS // 2:
            return
        try:
            async for _ in self.reply(prompt, max_tokens=1, owner=owner):
                pass
        except ReplyError as error:
            log.debug("nothing prepared: %s", error)

    @property
    def alive(self) -> bool:
        return self._server is not None

    async def close(self) -> None:
        if self._client:
            await self._client.close()
        self._server = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def reply(
        self, prompt: Sequence[Message], *, max_tokens: int, owner: Hashable
    ) -> AsyncGenerator[Delta, None]:
        """The reply's text as it is written; closing the iterator closes the connection.

        Raises:
            ReplyError: the model refused the prompt or went away; nothing more will come.
        """
        if self._client is None:
            raise ReplyError("the language model is not running")
        if self._callers >= MAX_CALLERS:
            raise Saturated("reply", "too many replies are waiting; try again later")
        limit = min(max_tokens, REPLY_TOKENS)
        body: dict[str, Any] = {"max_tokens": limit, "stream": True, **SAMPLING}
        messages = list(prompt)
        self._callers += 1
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._callers -= 1
            raise
        try:
            while True:
                body["messages"] = [{"role": m.role, "content": m.text} for m in messages]
                async with self._client.post("/v1/chat/completions", json=body) as answer:
                    if answer.status == 200:
                        async for line in answer.content:
                            if delta := _delta(line):
                                yield delta
                        return
                    kind, reason = await _refusal(answer)
                if kind != "exceed_context_size_error" or len(messages) < 3:
                    raise ReplyError(f"the language model refused: {reason}")
                messages = newer_half(messages)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ReplyError(f"the language model went away: {type(error).__name__}") from error
        finally:
            self._slots.release()
            self._callers -= 1


def _delta(line: bytes) -> Delta | None:
    """The text in one line of a server-sent event stream; None for a line without any."""
    if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
        return None
    chunk = json.loads(line[6:])
    if "error" in chunk:
        raise ReplyError(f"the language model failed: {chunk['error'].get('message', 'no reason')}")
    choice = (chunk.get("choices") or [{}])[0]
    text = str(choice.get("delta", {}).get("content") or "")
    text = text.encode("utf-8", "ignore").decode()  # half a character cannot be sent on
    cut = choice.get("finish_reason") == "length"
    return Delta(text, cut) if text or cut else None


async def _refusal(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """The type and the message of an error answer."""
    try:
        error = (await answer.json(content_type=None))["error"]
        return str(error.get("type")), str(error.get("message"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", f"status {answer.status}"
