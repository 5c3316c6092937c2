"""Any OpenAI-compatible chat endpoint, streamed through the `openai` package, which is an extra.

A prompt goes in and the reply's text comes out as it is written; what the model thinks aloud stays
out of it. Closing the iterator closes the connection, and the endpoint stops writing. Every wait
has an end, and every failure one of these codes:

    reply_connect       nobody answers there, or the connection broke before the first word
    reply_timeout       no first word in time, or none after the last one
    reply_rate_limited  status 429
    reply_refused       another error status, or an error in the stream
    reply_garbled       the answer is not a stream of chat completion chunks
    reply_cut_off       the answer ended before the reply did

What can be better a moment later is asked for once more, as long as no word was passed on. The
endpoint's own reasons go to the log; a caller is told only what kind of failure it was.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from realtime.conversation import Message
from realtime.engines import Delta
from realtime.errors import ReplyError, SettingsError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

log = logging.getLogger("banter.openai")

RETRIED = {429, 500, 502, 503, 504}
RETRY_PAUSE_S = 0.2
"""Before asking again after an error status that says nothing of when."""

MAX_RETRY_PAUSE_S = 1.0
"""As much of a `Retry-After` as is waited for: somebody is listening to the silence."""

TAIL_S = 0.2
"""After the last word, how long the stream may take to end, so that its connection is kept."""

REASON_CHARS = 500
TOO_LONG = re.compile(r"context[ _](length|size|window)|prompt is too long|too many tokens", re.I)


class OpenAIReplier:
    """`load` blocks; `warm` and `reply` are for the event loop.

    A limit on the wait for the first token covers everything until the first word that can be
    spoken: connecting, the one retry, thinking. The other begins anew with each word.
    """

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
    ) -> None:
        self._base_url, self._key, self._model = base_url, api_key.strip(), model
        self._connect_timeout_s = connect_timeout_s
        self._first_token_timeout_s = first_token_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._reply_tokens = reply_tokens
        self.prompt_tokens = context_tokens - reply_tokens
        self._client: AsyncOpenAI | None = None
        self._broken: tuple[type[Exception], ...] = ()
        self._errors: tuple[type[Exception], ...] = ()

    def load(self) -> None:
        """Import the package and make the client; nothing is sent yet.

        Raises:
            SettingsError: the package is missing, or the address or the key cannot be used.
        """
        host = _checked_host(self._base_url)
        if not (self._key.isascii() and self._key.isprintable()):
            raise SettingsError("the API key of the language model holds characters no key has")
        if self.prompt_tokens <= 0:
            raise SettingsError("the language model's context has no room beside its reply")
        try:
            import openai
        except ImportError as error:
            raise SettingsError(
                "an OpenAI-compatible language model needs a package that is not installed; "
                "remedy: pip install 'banter-voice[openai]'"
            ) from error
        self._client = openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key or "none",  # an empty one makes a header that cannot be sent
            timeout=openai.Timeout(None, connect=self._connect_timeout_s),
            max_retries=0,
        )
        # These import their modules on first use: now, and not while somebody waits.
        _ = self._client.chat.completions, self._client.models
        # OpenAI's own models know the limit by a newer name, and many others only by the older.
        own = host == "openai.com" or host.endswith(".openai.com")
        self._limit = "max_completion_tokens" if own else "max_tokens"
        self._broken = (openai.APIConnectionError, *_transport_errors())
        self._errors = (openai.APIError, ValueError, *self._broken)

    async def warm(self) -> None:
        """Ask the endpoint for its models. No answer is a warning: it may come up later."""
        client = self._loaded()
        try:
            async with asyncio.timeout(self._first_token_timeout_s):
                await client.models.with_raw_response.list()
        except (TimeoutError, *self._errors) as error:
            log.warning("the language model's endpoint does not answer: %s", self._reason(error))

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Nothing: a request that is thrown away costs money on many endpoints."""

    @property
    def alive(self) -> bool:
        """Whether there is a client; only a reply shows what the endpoint is up to."""
        return self._client is not None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()

    async def reply(
        self, prompt: Sequence[Message], *, max_tokens: int, owner: Hashable
    ) -> AsyncGenerator[Delta, None]:
        """The reply's text as it is written; closing the iterator closes the connection.

        Raises:
            ReplyError: no reply, or no more of it; the code says why.
        """
        limit = min(max_tokens, self._reply_tokens)
        tries = _Tries(list(prompt), _now() + self._first_token_timeout_s)
        said = False
        while True:
            try:
                request = self._request(tries.messages, limit, tries.deadline)
                async with aclosing(request) as deltas:
                    async for delta in deltas:
                        said = True
                        yield delta
                return
            except _Failure as failure:
                pause_s = None if said else tries.pause_s(failure)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    async def _request(
        self, messages: list[Message], limit: int, deadline: float
    ) -> AsyncGenerator[Delta, None]:
        """The text that one request brings; every error leaves as a `_Failure`."""
        said = False
        try:
            async with asyncio.timeout_at(deadline):
                stream = await self._open(messages, limit)
            async with stream:
                text = _Text()
                while not text.finish:
                    piece = text.push(await _next(stream, deadline))
                    if piece:
                        said = True
                        yield Delta(piece)
                        deadline = _now() + self._stall_timeout_s
                if text.finish == "length":
                    yield Delta("", cut=True)
                with suppress(TimeoutError, *self._errors):
                    while await _next(stream, _now() + TAIL_S) is not None:
                        pass
        except TimeoutError:
            raise self._too_slow(said) from None
        except self._errors as error:
            raise self._failure(error, said) from None

    async def _open(self, messages: list[Message], limit: int) -> AsyncStream[ChatCompletionChunk]:
        lines: Any = [{"role": m.role, "content": m.text} for m in messages]
        return await self._loaded().chat.completions.create(
            model=self._model, messages=lines, stream=True, extra_body={self._limit: limit}
        )

    def _loaded(self) -> AsyncOpenAI:
        if self._client is None:
            raise _Failure("the language model's client is closed", code="reply_connect")
        return self._client

    def _too_slow(self, said: bool) -> _Failure:
        limit_s = self._stall_timeout_s if said else self._first_token_timeout_s
        what = "wrote nothing more" if said else "did not begin to reply"
        return _Failure(f"the language model {what} within {limit_s:g} s", code="reply_timeout")

    def _failure(self, error: Exception, said: bool) -> _Failure:
        """What an error means for the reply; its own words go to the log."""
        import openai

        log.warning("the language model's endpoint failed: %s", self._reason(error))
        if isinstance(error, openai.APIStatusError):
            return _refusal(error)
        if isinstance(error, self._broken):
            # waits of the HTTP client are limited only while it connects
            return _cut_off() if said else _unreachable()
        if isinstance(error, ValueError):
            return _garbled()
        return _Failure("the language model reported an error", code="reply_refused")

    def _reason(self, error: Exception) -> str:
        """An error in one line for the log, with the key left out."""
        cause = error.__cause__ or error
        text = f"{type(cause).__name__}: {cause}"
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:REASON_CHARS].removesuffix(":")


class _Failure(ReplyError):
    """`retry_after_s` is None where asking again is of no use."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retry_after_s: float | None = None,
        too_long: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        self.too_long = too_long


@dataclass
class _Tries:
    """What may still be tried before the first word: one retry, and once with less history."""

    messages: list[Message]
    deadline: float
    retried: bool = False
    shortened: bool = False

    def pause_s(self, failure: _Failure) -> float | None:
        """How long to wait before asking again, with the messages as they are then; None: don't."""
        if failure.too_long and not self.shortened:
            self.shortened = True
            before, self.messages = self.messages, _newer_half(self.messages)
            return 0.0 if len(self.messages) < len(before) else None
        pause_s = failure.retry_after_s
        if pause_s is None or self.retried or _now() + pause_s >= self.deadline:
            return None
        self.retried = True
        return pause_s


class _Text:
    """Chunks -> what can be spoken of them, until `finish` is set."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self._thoughts = _Thoughts()
        self._begun = self._said = self._thought = False

    def push(self, chunk: Any) -> str:
        """The next text, perhaps none.

        Raises:
            _Failure: the chunk cannot be read, or is None: the stream ended too early.
        """
        if chunk is None:
            raise _cut_off() if self._begun else _garbled()
        text = self._read(chunk)
        text = self._thoughts.push(text)
        if self.finish:
            text += self._thoughts.flush()
        if not self._said:
            text = text.lstrip()
        self._said = self._said or bool(text)
        if self.finish == "length" and not self._said and (self._thought or self._thoughts.any):
            raise _Failure(
                "the language model thought up to the length limit and said nothing",
                code="reply_cut_off",
            )
        return text

    def _read(self, chunk: Any) -> str:
        """A chunk's text. The package checks nothing: any JSON may have become a chunk."""
        try:
            if not chunk.choices:
                return ""  # the usage, or the ruling of a content filter
            choice = chunk.choices[0]
            text = (choice.delta and choice.delta.content) or ""
            self.finish = choice.finish_reason
        except (AttributeError, LookupError, TypeError):
            raise _garbled() from None
        if not isinstance(text, str):
            raise _garbled()
        self._begun = True
        self._thought = self._thought or bool(getattr(choice.delta, "reasoning_content", None))
        return text


class _Thoughts:
    """Takes `<think>…</think>` out of a text that comes in pieces, which may break off in a tag."""

    def __init__(self) -> None:
        self.any = False
        self._inside = False
        self._held = ""

    def push(self, text: str) -> str:
        self._held += text
        spoken = ""
        while self._tag in self._held:
            before, _, self._held = self._held.partition(self._tag)
            spoken += "" if self._inside else before
            self._inside, self.any = not self._inside, True
        begun = next((n for n in range(len(self._tag), 0, -1) if self._ends_with_part(n)), 0)
        ready, self._held = (
            self._held[: len(self._held) - begun],
            self._held[-begun or sys.maxsize :],
        )
        return spoken + ("" if self._inside else ready)

    def flush(self) -> str:
        """What was held back at the end: it was no tag after all."""
        return "" if self._inside else self._held

    @property
    def _tag(self) -> str:
        return "</think>" if self._inside else "<think>"

    def _ends_with_part(self, chars: int) -> bool:
        return self._held.endswith(self._tag[:chars])


async def _next(stream: AsyncStream[ChatCompletionChunk], deadline: float) -> Any:
    """The stream's next chunk; None at its end."""
    async with asyncio.timeout_at(deadline):
        return await anext(stream, None)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refusal(error: APIStatusError) -> _Failure:
    status = error.status_code
    if status == 400 and TOO_LONG.search(error.message):
        message = "the prompt is longer than the language model's context"
        return _Failure(message, code="reply_refused", too_long=True)
    return _Failure(
        f"the language model refused with status {status}",
        code="reply_rate_limited" if status == 429 else "reply_refused",
        retry_after_s=_retry_after_s(error.response.headers) if status in RETRIED else None,
    )


def _retry_after_s(headers: Any) -> float:
    asked = headers.get("retry-after")
    if asked is None:
        return RETRY_PAUSE_S
    try:
        return max(0.0, min(MAX_RETRY_PAUSE_S, float(asked)))
    except ValueError:
        return MAX_RETRY_PAUSE_S  # a date


def _unreachable() -> _Failure:
    message = "the language model cannot be reached"
    return _Failure(message, code="reply_connect", retry_after_s=0.0)


def _garbled() -> _Failure:
    return _Failure("the language model's answer cannot be read", code="reply_garbled")


def _cut_off() -> _Failure:
    message = "the language model's answer ended before its reply did"
    return _Failure(message, code="reply_cut_off")


def _newer_half(messages: list[Message]) -> list[Message]:
    """The instructions and the newer half of the rest, at least its last message."""
    head = [m for m in messages[:1] if m.role == "system"]
    rest = messages[len(head) :]
    return head + rest[min(len(rest) - 1, (len(rest) + 1) // 2) :]


def _checked_host(base_url: str) -> str:
    """The host of an address that requests can be sent to."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not (usable and parts.hostname):
        raise SettingsError(
            "the address of the language model's endpoint is not one like "
            f"https://host/v1: '{base_url}'"
        )
    return parts.hostname


def _transport_errors() -> tuple[type[Exception], ...]:
    """Errors that `openai` lets through from the HTTP library it has loaded, httpx or httpx2."""
    loaded = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return tuple(module.HTTPError for module in loaded)
