"""Any OpenAI-compatible chat endpoint, streamed through the `openai` package, which is an extra.

A prompt goes in and the reply's text and calls come out as they are written; what the model thinks
aloud stays out of it. Closing the iterator closes the connection, so that the endpoint stops
writing. Every wait has an end and every failure a code. What may be better a moment later is asked
for once more, as long as no word was passed on. An endpoint that failed several callers in a row is
left alone for a while (`breaker`): who asks meanwhile is told at once. The endpoint's own reasons
go to the log, without the key; a caller is told only which kind of failure it was.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from realtime.breaker import Attempt, Breaker
from realtime.engines import Delta
from realtime.engines.chat_refusals import Refusals
from realtime.engines.chat_text import Failure, Text
from realtime.errors import SettingsError
from realtime.metrics import Metrics
from realtime.prompt import Message, newer_half
from realtime.tools import CALL_TOKENS, Toolbox

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

log = logging.getLogger("banter.openai")

TAIL_S = 0.2
"""After the last word, how long the stream may take to end, so that its connection is kept."""

REASON_CHARS = 500


class OpenAIReplier:
    """`load` blocks; `warm` and `reply` are for the event loop.

    `first_token_timeout_s` is for everything until the first word that can be spoken: connecting,
    asking again, thinking. `stall_timeout_s` begins anew with each word.
    """

    calls_functions = True

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        model: str,
        connect_timeout_s: float = 3.0,
        first_token_timeout_s: float = 8.0,
        stall_timeout_s: float = 8.0,
        context_tokens: int = 8_192,
        reply_tokens: int = 256,
        metrics: Metrics | None = None,
    ) -> None:
        self._base_url, self._key, self._model = base_url, api_key.strip(), model
        self._connect_timeout_s = connect_timeout_s
        self._first_token_timeout_s = first_token_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._reply_tokens = reply_tokens
        self.prompt_tokens = context_tokens - reply_tokens
        self._limit_name = "max_tokens"
        self._metrics = metrics or Metrics()
        self._refusals = Refusals(self._metrics)
        self._breaker = Breaker()
        self._client: AsyncOpenAI | None = None
        self._broken: tuple[type[Exception], ...] = ()
        self._errors: tuple[type[Exception], ...] = ()

    def load(self) -> None:
        """Import the package and make the client; nothing is sent yet.

        Raises:
            SettingsError: the package is missing, or a value cannot be used.
        """
        host = self._checked_host()
        try:
            import openai
        except ImportError as error:
            raise SettingsError(
                "an OpenAI-compatible language model needs the package 'openai', which is not "
                "installed; remedy: pip install 'banter-voice[openai]'"
            ) from error
        self._client = openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key or "none",  # an empty one is refused or makes a bad header
            timeout=openai.Timeout(None, connect=self._connect_timeout_s),
            max_retries=0,
        )
        # Each imports its modules on first use: now, and not while somebody waits.
        _ = self._client.chat.completions, self._client.models
        if f".{host}".endswith(".openai.com"):
            self._limit_name = "max_completion_tokens"  # newer models there refuse the older name
        self._broken = (openai.APIConnectionError, *_transport_errors())
        self._errors = (openai.APIError, ValueError, TimeoutError, *self._broken)

    def _checked_host(self) -> str:
        if not (self._key.isascii() and self._key.isprintable()):
            raise SettingsError("the language model's API key holds characters that no key has")
        if self.prompt_tokens <= 0:
            raise SettingsError("the language model's context has no room beside its reply")
        try:
            parts = urlsplit(self._base_url)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return parts.hostname
        except ValueError:
            pass  # a port that is no port
        raise SettingsError(
            f"the language model's address is not one like https://host/v1: '{self._base_url}'"
        )

    async def warm(self) -> None:
        """Ask the endpoint for its models. No answer is a warning: it may come up later."""
        client = self._loaded()
        try:
            async with asyncio.timeout(self._first_token_timeout_s):
                await client.models.with_raw_response.list()
        except self._errors as error:
            log.warning("the language model's endpoint does not answer: %s", self._reason(error))

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Nothing: a request whose answer is thrown away may cost money."""

    @property
    def spare(self) -> bool:
        """Unless it is left alone: how busy the endpoint is, it tells nobody."""
        return self._breaker.lets_in(_now())

    def breaker_report(self) -> dict[str, Any]:
        """For `/status`: the breaker's state, failures in a row, how often it has opened, and the
        seconds until it is tried again."""
        breaker, now_s = self._breaker, _now()
        return {
            "state": breaker.state(now_s),
            "failures": breaker.failures,
            "opened": breaker.opened,
            "wait_s": round(breaker.wait_s(now_s), 1),
        }

    @property
    def alive(self) -> bool:
        """Whether there is a client: how the endpoint fares is only known while it replies."""
        return self._client is not None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()

    async def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """The reply's text and calls as they are written; closing it closes the connection.

        Raises:
            ReplyError: no reply, or no more of it; the code says why.
        """
        limit = min(max_tokens, self._reply_tokens + (CALL_TOKENS if tools else 0))
        tries = _Tries(list(prompt), _now() + self._first_token_timeout_s)
        attempt = self._breaker.enter(_now())
        if attempt is None:
            self._metrics.count("replies.not_asked_for")
            raise Failure("reply_unavailable")
        said = False
        try:
            while True:
                try:
                    request = self._request(tries.messages, limit, tries.deadline, tools)
                    async with aclosing(request) as deltas:
                        async for delta in deltas:
                            if not said:
                                self._breaker.begun(attempt)
                            said = True
                            yield delta
                    self._breaker.succeeded(attempt)
                    return
                except Failure as failure:
                    pause_s = None if said else tries.pause_s(failure)
                    if pause_s is None:
                        self._judge(attempt, failure)
                        raise
                await asyncio.sleep(pause_s)
        finally:
            self._breaker.left(attempt)

    def _judge(self, attempt: Attempt, failure: Failure) -> None:
        """Of what was asked for twice or was no use to ask for again: is the endpoint down?"""
        if not failure.down:
            return
        opened = self._breaker.opened
        self._breaker.failed(attempt, _now())
        if self._breaker.opened > opened:
            self._metrics.count("replies.breaker_opened")
            log.warning(
                "the language model's endpoint has failed %d times in a row and is left alone for "
                "%g s: %s",
                self._breaker.failures,
                self._breaker.pause_s,
                failure,
            )

    async def _request(
        self, messages: list[Message], limit: int, deadline: float, tools: Toolbox | None
    ) -> AsyncGenerator[Delta, None]:
        """What one request brings; every error leaves as a `Failure`."""
        text = Text()
        try:
            async with asyncio.timeout_at(deadline):
                stream = await self._open(messages, limit, tools)
            async with stream:
                while not text.finish:
                    for delta in text.push(await _next(stream, deadline)):
                        yield delta
                        deadline = _now() + self._stall_timeout_s
                if text.finish == "length":
                    yield Delta("", cut=True)
                await self._finish(stream, text)
            if text.tokens:
                yield Delta(tokens=text.tokens)
        except TimeoutError:
            waited_s = self._stall_timeout_s if text.said else self._first_token_timeout_s
            what = "next" if text.said else "first"
            raise Failure("reply_timeout", f"no {what} word within {waited_s:g} s") from None
        except self._errors as error:
            log.warning("the language model's endpoint failed: %s", self._reason(error))
            raise self._failure(error, tools, said=text.said) from None

    async def _open(
        self, messages: list[Message], limit: int, tools: Toolbox | None
    ) -> AsyncStream[ChatCompletionChunk]:
        extra = {self._limit_name: limit, **self._refusals.body(messages, tools)}
        return await self._loaded().chat.completions.create(
            model=self._model, messages=extra.pop("messages"), stream=True, extra_body=extra
        )

    async def _finish(self, stream: AsyncStream[ChatCompletionChunk], text: Text) -> None:
        """Read what follows the last word; the reply is whole whatever happens here."""
        deadline = _now() + TAIL_S
        with suppress(*self._errors):
            while (chunk := await _next(stream, deadline)) is not None:
                text.count(chunk)

    def _loaded(self) -> AsyncOpenAI:
        if self._client is None:
            raise Failure("reply_connect", "its client is not open")
        return self._client

    def _failure(self, error: Exception, tools: Toolbox | None, *, said: bool) -> Failure:
        import openai

        if isinstance(error, openai.APIStatusError):
            return self._refusals.failure(error, tools)
        if isinstance(error, self._broken):  # its waits are limited only while it connects
            return Failure("reply_cut_off" if said else "reply_connect", retry_after_s=0.0)
        if isinstance(error, ValueError):
            return Failure("reply_garbled")
        return Failure("reply_refused", "an error instead of the next word")

    def _reason(self, error: Exception) -> str:
        """An error in one line for the log, with the key left out."""
        cause = error if isinstance(error, TimeoutError) else error.__cause__ or error
        text = f"{type(cause).__name__}: {cause}"
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:REASON_CHARS].removesuffix(":")


@dataclass
class _Tries:
    """What may still be tried before the first word: one retry, and once with less history, and
    once without each thing that the endpoint does not know."""

    messages: list[Message]
    deadline: float
    retried: bool = False
    shortened: bool = False
    left_out: set[str] = field(default_factory=set)

    def pause_s(self, failure: Failure) -> float | None:
        """How long to wait before asking again with `messages`; None: give up."""
        if failure.too_long and not self.shortened:
            self.shortened = True
            before, self.messages = self.messages, newer_half(self.messages)
            return 0.0 if len(self.messages) < len(before) else None
        if failure.unknown and failure.unknown not in self.left_out:
            self.left_out.add(failure.unknown)
            return 0.0
        pause_s = failure.retry_after_s
        if pause_s is None or self.retried or _now() + pause_s >= self.deadline:
            return None
        self.retried = True
        return pause_s


async def _next(stream: AsyncStream[ChatCompletionChunk], deadline: float) -> Any:
    """The stream's next chunk; None at its end."""
    async with asyncio.timeout_at(deadline):
        return await anext(stream, None)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _transport_errors() -> list[type[Exception]]:
    """What `openai` lets through from the HTTP library it has loaded, httpx or httpx2."""
    return [sys.modules[name].HTTPError for name in ("httpx", "httpx2") if name in sys.modules]
