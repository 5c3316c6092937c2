"""A chat endpoint's stream, chunk by chunk: what can be said and called of it, and how it fails.

The package that reads the stream checks nothing: any JSON may have become a chunk.
"""

from __future__ import annotations

from typing import Any

from realtime.engines import CallPart, Delta
from realtime.engines.chat_tools import CallStream
from realtime.errors import ReplyError
from realtime.thoughts import Thoughts
from realtime.usage import Tokens

FAILURES = {
    "reply_connect": "the language model cannot be reached",
    "reply_unavailable": "the language model has failed several times and is given a rest",
    "reply_timeout": "the language model took too long",
    "reply_rate_limited": "the language model has too many requests",
    "reply_refused": "the language model refused",
    "reply_no_functions": "the language model cannot call functions",
    "reply_garbled": "the language model's answer cannot be read",
    "reply_cut_off": "the language model's answer ended before the reply did",
    "reply_endless": "the language model does not stop writing",
}
"""The codes of a `ReplyError` and what each says."""

DOWN = ("reply_connect", "reply_timeout", "reply_cut_off")

MAX_REPLY_CHARS = 64_000
"""Of words and arguments, whatever limit the endpoint was given: no message of ours may pass 1 MiB,
and a character may take six bytes in it."""

CALL_CHARS = 128
"""What a call counts beside its own texts: it makes six messages of ours."""


class Failure(ReplyError):
    """`retry_after_s` is None where asking again is of no use; `unknown` names what of the request
    is left out when it is asked again."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        too_long: bool = False,
        unknown: str = "",
        down: bool = False,
    ) -> None:
        super().__init__(FAILURES[code] + (f": {detail}" if detail else ""), code=code)
        self.retry_after_s = retry_after_s
        self.too_long = too_long
        self.unknown = unknown
        self.down = down or code in DOWN
        """It says of the endpoint that it may be down, whatever was asked."""


class Text:
    """Chunks in, what can be said and called of them out, until `finish` is set."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self.said = False
        self.tokens: Tokens | None = None
        self._begun = self._thought = self._worded = False
        self._chars = self._called = 0
        self._thoughts = Thoughts()
        self._calls = CallStream()

    def push(self, chunk: Any) -> list[Delta]:
        """What is new in a chunk, perhaps nothing.

        Raises:
            Failure: the chunk cannot be read, or is None: the stream ended too early.
        """
        if chunk is None:
            raise Failure("reply_cut_off" if self._begun else "reply_garbled")
        self.count(chunk)
        text, fragments = self._read(chunk)
        text = self._thoughts.push(text)
        if self.finish:
            text += self._thoughts.flush()
        if not self._worded:
            text = text.lstrip()
            self._worded = bool(text)
        try:
            calls = self._calls.push(fragments)
            if self.finish and self.finish != "length":
                self._calls.end()
        except (TypeError, ValueError):
            raise Failure("reply_garbled") from None
        self.said = self.said or bool(text) or bool(calls)
        if self.finish == "length" and not self.said and (self._thought or self._thoughts.found):
            raise Failure("reply_cut_off", "all of it was thinking")
        self._chars += len(text) + sum(map(self._size, calls))
        if self._chars > MAX_REPLY_CHARS:
            raise Failure("reply_endless")
        return [*([Delta(text)] if text else []), *(Delta(call=call) for call in calls)]

    def _size(self, part: CallPart) -> int:
        first, self._called = part.number >= self._called, part.number + 1
        head = CALL_CHARS + len(part.name) + len(part.call_id) if first else 0
        return head + len(part.arguments)

    def count(self, chunk: Any) -> None:
        """What a chunk says of tokens; most say nothing."""
        usage = getattr(chunk, "usage", None)
        prompt = getattr(usage, "prompt_tokens", None)
        written = getattr(usage, "completion_tokens", None)
        if not (isinstance(prompt, int) and isinstance(written, int)):
            return
        details = getattr(usage, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None)
        cached = cached if isinstance(cached, int) else 0
        if min(prompt, written, cached) >= 0:
            self.tokens = Tokens(prompt, written, min(cached, prompt))

    def _read(self, chunk: Any) -> tuple[str, Any]:
        """A chunk's text and its parts of calls."""
        try:
            if not chunk.choices:
                return "", None  # the usage, or the ruling of a content filter
            choice = chunk.choices[0]
            text = (choice.delta and choice.delta.content) or ""
            fragments = getattr(choice.delta, "tool_calls", None)
            self.finish = choice.finish_reason
        except (AttributeError, LookupError, TypeError):
            raise Failure("reply_garbled") from None
        if not isinstance(text, str):
            raise Failure("reply_garbled")
        self._begun = True
        self._thought = self._thought or bool(getattr(choice.delta, "reasoning_content", None))
        return text, fragments
