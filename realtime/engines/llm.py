"""SmolLM2 in this process: llama.cpp's own server behind a private socket, streamed.

llama.cpp batches its slots continuously and has an HTTP server of its own, so Banter talks to that
one instead of blocking a thread for each generation: closing the connection stops the work even
while a prompt is being read, which the in-process call cannot do. It is noticed when something is
to be sent, so the progress of reading is asked for. The server listens on a Unix socket in a
private folder (elsewhere on a loopback port), with a random key in either case.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from realtime.aside import in_thread
from realtime.engines import Delta
from realtime.engines.llama_lines import delta_of, progress_of, refusal_of
from realtime.engines.llama_reader import LlamaReader
from realtime.engines.llm_folder import SOCKET, make_folder
from realtime.engines.turnstile import GaveWay, Place, Turnstile
from realtime.errors import ReplyError
from realtime.huge_pages import possible
from realtime.metrics import Metrics
from realtime.prompt import Message, newer_half, plain
from realtime.slots import PREPARATION, REPLY, Slots
from realtime.tools import Toolbox

log = logging.getLogger("banter.llm")

SLOTS = 4
SLOT_TOKENS = 1_024
"""A slot's context. On two cores a token takes 7 ms after 50 tokens of context, 10 after 350 and 16
after 1,500, and a model of this size makes nothing of a longer history."""

MAX_WAITING = 60
"""Replies that wait, a session's only one each; the next is refused (`saturated`)."""

REPLY_TOKENS = 64
"""The longest reply: some 16 s of speech."""

PROMPT_BATCH = 128
"""Prompt tokens read at a time. Tokens that others write come between two batches, and another's
prompt where `slots` says so: `benchmarks/slots.py`."""

FIRST_TOKENS = 16
"""A first piece for the voice is written by then. Until then nothing long is read."""

PROMPT_CACHE_MIB = 512
"""Histories of callers who have no slot now; a full context takes 24 MiB."""

SILENT_S = 2.0
"""A prompt of which nothing is read for this long keeps no other from being read."""

SILENCE_TIMEOUT_S = 10.0
"""Then the reply fails. A batch and a token come every 0.01 to 0.6 s, under load too."""

MOST_SILENCES = 2
"""Requests in a row that brought nothing until then, or found nobody: the server is lost. One may
be a moment in which the machine did other things."""

NOBODY_LISTENS = (ConnectionRefusedError, FileNotFoundError)
"""What a connection fails with whose other end is gone: who listened there, or the socket."""

BROKEN = (aiohttp.ClientError, OSError)
"""What a request that does not come to its end is told of by; `OSError` has the time-outs in it."""

RENEWED_S = 5.0
"""Who finds that nobody listens any more waits so long for a fresh server, and asks that."""

STILL_S = 0.5
"""A request that was given up may keep its slot so long: llama.cpp notices between two batches."""

SAMPLING = {
    "temperature": 0.4,
    "top_p": 0.9,
    "repeat_penalty": 1.1,
    # a small model falls into saying the same again and again; DRY makes a repeated run of tokens
    # the less likely the longer it is
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 512,
    # each breaker is looked up in the whole vocabulary at each request: four of them take 16 ms
    "dry_sequence_breakers": ["\n"],
    "cache_prompt": True,
    "return_progress": True,
}

AHEAD_S = 1.0
"""Words that are not read ahead by then are not: something else is the matter."""


class _NobodyThere(ReplyError):
    """The request was not even taken: it may be asked again of a fresh server."""


class EmbeddedReplier:
    """`load` blocks; `warm`, `prepare`, `read`, `ends` and `reply` are for the event loop."""

    prompt_tokens = SLOT_TOKENS - REPLY_TOKENS - 64
    calls_functions = False
    """Its template has no place for functions; llama.cpp leaves them out of the prompt."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        metrics: Metrics | None = None,
        prompt_batch: int = PROMPT_BATCH,
        slots: Slots[Place] | None = None,
    ) -> None:
        self._path, self._threads, self._prompt_batch = path, threads, prompt_batch
        self._key = secrets.token_urlsafe(32)
        self._folder: str | None = None
        self._server: Any = None
        self._instructions = ""
        self._silences = 0
        self._supervised = False
        self._up = asyncio.Event()
        """There is a server to ask."""
        self._lost: list[Any] = []
        """Servers that were given up. They are kept: to let go of one waits for its threads, and
        holds Python's interpreter lock meanwhile, in whichever thread that is done."""
        self._client: aiohttp.ClientSession | None = None
        if slots is None:
            slots = Slots(SLOTS, max_waiting=MAX_WAITING)
        self._reader = LlamaReader(self._ask)
        self._ahead: dict[Hashable, asyncio.Future[None]] = {}
        self._given_up_s = -math.inf
        """By the loop's clock: when a request was last given up."""
        self._turnstile = Turnstile(slots, silent_s=SILENT_S, metrics=metrics or Metrics())

    def load(self) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx, params.n_parallel = SLOTS * SLOT_TOKENS, SLOTS
        params.n_batch = params.n_ubatch = self._prompt_batch
        params.cache_ram_mib = PROMPT_CACHE_MIB
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = self._threads, 0
        params.n_threads_http = SLOTS + 2
        params.api_keys, params.verbosity, params.ui = [self._key], 0, False
        params.hostnames = [self._address()]
        if possible():  # as memory of its own the weights can be huge pages
            params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        self._server = xllamacpp.Server(params)

    def _address(self) -> str:
        if sys.platform == "win32":
            return "127.0.0.1"
        self._folder = str(make_folder())
        return f"{self._folder}/{SOCKET}"

    def start(self) -> None:
        connector: aiohttp.BaseConnector
        if self._folder:
            # llama.cpp closes a streamed connection at its end: nothing to keep alive
            connector = aiohttp.UnixConnector(f"{self._folder}/{SOCKET}", force_close=True)
            base = "http://llm"
        else:
            connector = aiohttp.TCPConnector(force_close=True)
            base = str(self._server.listening_address)
        self._client = aiohttp.ClientSession(
            base_url=base,
            connector=connector,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_read=SILENCE_TIMEOUT_S),
        )
        self._up.set()

    async def warm(self, instructions: str) -> None:
        """One real reply, with the instructions that most sessions begin with."""
        self._instructions = instructions
        prompt = [Message("system", instructions), Message("user", "Hello.")]
        async for _ in self.reply(prompt, max_tokens=4, owner=None):
            pass

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Read the history while the caller is still speaking, so that only the new words are left.

        It waits until no reply is being made, and any reply stops it.

        Raises:
            ReplyError: the model refused the prompt or went away; no loss, the reply will read it.
            Saturated: too many replies wait.
        """
        async with self._at_work(owner, PREPARATION) as place:
            answer, _ = await self._read(place, plain(prompt), max_tokens=1)
            answer.close()

    async def ends(self, prompt: Sequence[Message], *, owner: Hashable) -> float:
        """The probability, from 0 to 1, that the last message ends with its last word.

        What is read for it is there when a reply to the same prompt is asked for.

        Raises:
            ReplyError: the model refused the prompt or went away.
            Saturated: too many replies wait.
        """
        async with self._at_work(owner) as place:
            while True:
                with suppress(GaveWay):
                    async with place.reading():
                        return await self._ends(plain(prompt))

    async def read(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Read what a caller said so far, while he speaks on; nothing while others are at work, or
        a slot may be. In another slot than his own the whole history would have to be read.

        It is not stopped before `AHEAD_S`, since a few words are read sooner than llama.cpp would
        notice, and what comes next waits for it. A failure is no loss.
        """
        still = asyncio.get_running_loop().time() < self._given_up_s + STILL_S
        if self._ahead or still or len(self._turnstile.slots) or self._client is None:
            return
        done = self._ahead[owner] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(AHEAD_S):
                await self._reader.ahead(plain(prompt))
        except (*BROKEN, ReplyError, KeyError, ValueError) as error:
            log.debug("nothing read ahead: %s", error)
        finally:
            del self._ahead[owner]
            done.set_result(None)

    @asynccontextmanager
    async def _at_work(self, owner: Hashable, rank: int = REPLY) -> AsyncIterator[Place]:
        """A place in line, once what is being read ahead for this owner is read."""
        while done := self._ahead.get(owner):
            await asyncio.wait({done})  # who is cancelled here must not cancel it
        try:
            async with self._turnstile.admit(owner=owner, rank=rank) as place:
                yield place
        except BaseException:
            self._given_up_s = asyncio.get_running_loop().time()
            raise

    async def _ends(self, messages: Sequence[Message]) -> float:
        try:
            return await self._reader.ends(messages)
        except BROKEN as error:
            raise self._gone(error) from error
        except (KeyError, ValueError) as error:
            raise ReplyError(f"the language model answered strangely: {error!r}") from error

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._client_now().post(path, json=body) as answer:
            if answer.status != 200:
                _, reason = await refusal_of(answer)
                raise ReplyError(f"the language model refused: {reason}")
            found: dict[str, Any] = await answer.json()
            return found

    @property
    def spare(self) -> bool:
        """Whether a reply would be read at once, and leave a slot to others."""
        return self._turnstile.slots.spare

    @property
    def alive(self) -> bool:
        return self._server is not None

    @property
    def trouble(self) -> str:
        """Why it has to be begun anew; empty while it works."""
        lost = self._server is not None and self._silences >= MOST_SILENCES
        return f"{self._silences} requests in a row brought nothing" if lost else ""

    @property
    def lost_device(self) -> str:
        """Empty: it runs on the processor."""
        return ""

    @property
    def abandoned(self) -> int:
        """Servers that were given up; each keeps its memory."""
        return len(self._lost)

    def supervise(self) -> None:
        """Somebody looks for trouble from now on, and sees to it."""
        self._supervised = True

    def abandon(self, why: str) -> None:
        """No request goes to this server any more."""
        if self._server is not None:
            self._lost.append(self._server)
        self._server = None
        self._up.clear()

    async def renew(self) -> None:
        """A fresh server on a socket of its own. What the old one still writes is cut off.

        Raises:
            Exception: it does not load, or does not answer; it may be tried again.
        """
        self.abandon("it did not work")  # as one that was loaded, and did not answer
        folder, self._folder = self._folder, None
        if self._client:
            await self._client.close()
            self._client = None
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        await in_thread(self.load)
        self._silences = 0
        self.start()
        await self.warm(self._instructions)

    async def close(self) -> None:
        if self._client:
            await self._client.close()
        if self._silences:  # it may be stuck, and nobody could wait for it with a time-out
            self.abandon("it brought nothing")
        self._server = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """The reply's text as it is written; closing the iterator closes the connection.

        Raises:
            ReplyError: the model refused the prompt or went away; nothing more will come.
            Saturated: too many replies wait.
        """
        limit, messages = min(max_tokens, REPLY_TOKENS), plain(prompt)
        try:
            async with aclosing(self._reply(messages, limit, owner)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        except _NobodyThere:
            if not await self._renewed():
                raise
        async with aclosing(self._reply(messages, limit, owner)) as deltas:
            async for delta in deltas:
                yield delta

    async def _renewed(self) -> bool:
        """Wait for a fresh server, if there is going to be one; whether there is."""
        if not self._supervised:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(RENEWED_S):
                await self._up.wait()
        return self._up.is_set()

    async def _reply(
        self, messages: list[Message], limit: int, owner: Hashable
    ) -> AsyncGenerator[Delta, None]:
        async with self._at_work(owner) as place:
            answer, delta = await self._read(place, messages, max_tokens=limit)
            try:
                async with answer:
                    if delta:
                        yield delta
                    written = 1
                    async for line in answer.content:
                        if delta := delta_of(line):
                            yield delta
                            written += 1
                            if written == FIRST_TOKENS:
                                place.well_begun()
            except BROKEN as error:
                raise self._gone(error) from error

    async def _read(
        self, place: Place, messages: list[Message], *, max_tokens: int
    ) -> tuple[aiohttp.ClientResponse, Delta | None]:
        """Have a prompt read, in turn with others'; the answer, open, and its first words."""
        while True:
            with suppress(GaveWay):
                async with place.reading():
                    return await self._request(place, messages, max_tokens)

    async def _request(
        self, place: Place, messages: list[Message], max_tokens: int
    ) -> tuple[aiohttp.ClientResponse, Delta | None]:
        """Ask for a reply to `messages`, which are shortened here until they fit."""
        body: dict[str, Any] = {"max_tokens": max_tokens, "stream": True, **SAMPLING}
        try:
            while True:
                body["messages"] = [{"role": m.role, "content": m.text} for m in messages]
                answer = await self._client_now().post("/v1/chat/completions", json=body)
                try:
                    if answer.status == 200:
                        return answer, await self._first_words(answer, place)
                    kind, reason = await refusal_of(answer)
                except BaseException:
                    answer.close()
                    raise
                if kind != "exceed_context_size_error" or len(messages) < 3:
                    raise ReplyError(f"the language model refused: {reason}")
                messages[:] = newer_half(messages)
        except BROKEN as error:
            raise self._gone(error) from error

    def _client_now(self) -> aiohttp.ClientSession:
        """
        Raises:
            _NobodyThere: there is none now.
        """
        if self._client is None or self._client.closed or not self._up.is_set():
            raise _NobodyThere("the language model is being restarted", code="restarting")
        return self._client

    async def _first_words(self, answer: aiohttp.ClientResponse, place: Place) -> Delta | None:
        """Wait while the prompt is being read; None if the reply ends without a word."""
        async for line in answer.content:
            self._silences = 0
            if progress := progress_of(line):
                read, left = progress
                place.advanced(left=read > 0 and left > self._prompt_batch)
            elif delta := delta_of(line):
                return delta
        return None

    def _gone(self, error: Exception) -> ReplyError:
        unreached = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
        if unreached and not isinstance(unreached, NOBODY_LISTENS):
            # such as no free file descriptor: of the server it says nothing
            return ReplyError(f"the language model cannot be reached: {unreached}")
        self._silences += 1
        if unreached:  # no doubt about it
            self._silences = max(self._silences, MOST_SILENCES)
            if self._supervised:
                self._up.clear()
            return _NobodyThere("the language model is not there", code="restarting")
        return ReplyError(f"the language model went away: {type(error).__name__}")
