"""A chat endpoint's refusals: what they mean, and what of a request it turned out not to know.

Servers differ in what they take. What one refuses by name is left out from then on, for as long as
this process lives; anything else that is refused is told as it is.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from realtime.engines.chat_text import Failure
from realtime.engines.chat_tools import asked, written
from realtime.metrics import Metrics
from realtime.prompt import Message, plain
from realtime.tools import Toolbox

if TYPE_CHECKING:
    from openai import APIStatusError

log = logging.getLogger("banter.openai")

RETRIED = {429, 500, 502, 503, 504}
RETRY_PAUSE_S = 0.2
"""Before asking again after an error status that says nothing of when."""

MAX_RETRY_PAUSE_S = 1.0
"""As much of a `Retry-After` as is waited for: somebody is listening to the silence."""

NO_COUNTS = re.compile(r"stream_options|include_usage", re.I)
"""In a refusal: the endpoint does not know how to count tokens in a stream."""

_TOOLS = r"(?:tools?|functions?|(?:tool|function)[ _-]?(?:use|calls?|calling))"
NO_TOOLS = re.compile(
    rf"(?:does not|doesn't|do not|found that) support {_TOOLS}\b"
    rf"|\b{_TOOLS}\W{{1,3}}(?:is|are) not supported"
    r"|--enable-auto-tool-choice|requires? --jinja",
    re.I,
)
"""The same of functions, in the words of Ollama, vLLM, llama.cpp and others. A refusal of one
function alone must not match."""

TOO_LONG = re.compile(r"context[ _](length|size|window)|prompt is too long|too many tokens", re.I)


class Refusals:
    """What one endpoint has refused. Shared by all requests to it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts = self._tools = True

    def body(self, messages: list[Message], tools: Toolbox | None) -> dict[str, Any]:
        """A request's messages, functions and wish for counts, without what is not known.

        A reply that must be a call is asked for all the same: some endpoints know only that.
        """
        if tools and not self._tools and not tools.required:
            self._metrics.count("replies.tools_refused")
            messages, tools = plain(messages), None
        counts = {"stream_options": {"include_usage": True}} if self._counts else {}
        return {"messages": written(messages), **asked(tools), **counts}

    def failure(self, error: APIStatusError, tools: Toolbox | None) -> Failure:
        """What an error status means for a request that was to offer `tools`."""
        status = error.status_code
        if status in (400, 422) and _says(error, NO_COUNTS):
            self._counts = False
            return Failure("reply_refused", "it does not count tokens", unknown="counts")
        if tools and status < 502 and _says(error, NO_TOOLS):
            return self._without_tools(tools)
        if status == 400 and _says(error, TOO_LONG):
            return Failure("reply_refused", "the prompt is too long for it", too_long=True)
        return Failure(
            "reply_rate_limited" if status == 429 else "reply_refused",
            f"status {status}",
            retry_after_s=_retry_after_s(error.response.headers) if status in RETRIED else None,
            down=status >= 500,
        )

    def _without_tools(self, tools: Toolbox) -> Failure:
        if tools.required:
            return Failure("reply_no_functions", "use one that can, or leave tool_choice 'auto'")
        if self._tools:
            log.warning("the language model cannot call functions; it is given none from now on")
        self._tools = False
        return Failure("reply_no_functions", unknown="tools")


def _says(error: APIStatusError, pattern: re.Pattern[str]) -> bool:
    return bool(pattern.search(f"{error.code} {error.type} {error.message}"))


def _retry_after_s(headers: Any) -> float:
    asked_for = headers.get("retry-after")
    if asked_for is None:
        return RETRY_PAUSE_S
    try:
        return max(0.0, min(MAX_RETRY_PAUSE_S, float(asked_for)))
    except ValueError:
        return MAX_RETRY_PAUSE_S  # a date
