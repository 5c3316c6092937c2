"""What llama.cpp's server answers, line by line: words, the progress of reading, refusals."""

from __future__ import annotations

import json

import aiohttp

from realtime.engines import Delta
from realtime.errors import ReplyError


def delta_of(line: bytes) -> Delta | None:
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


def progress_of(line: bytes) -> tuple[int, int] | None:
    """Tokens of the prompt that this request has read so far, and those that are left; None for a
    line that tells something else."""
    if b'"prompt_progress"' not in line:
        return None
    progress = json.loads(line.removeprefix(b"data: "))["prompt_progress"]
    done = int(progress["processed"])
    return done - int(progress["cache"]), int(progress["total"]) - done


async def refusal_of(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """The type and the message of an error answer."""
    try:
        error = (await answer.json(content_type=None))["error"]
        return str(error.get("type")), str(error.get("message"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", f"status {answer.status}"
