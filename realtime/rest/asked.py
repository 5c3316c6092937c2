"""What a form asks of a transcription: its fields, read and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from realtime.engines import Reach
from realtime.languages import language_code
from realtime.rest.problem import Problem
from realtime.rest.upload import FILE_FIELD, Form

FORMATS = {
    "json": "application/json",
    "text": "text/plain",
    "srt": "text/plain",
    "verbose_json": "application/json",
    "vtt": "text/plain",
}
"""`response_format` -> content type."""

GRANULARITIES = ("word", "segment")
INCLUDES = ("logprobs",)

FIELDS: dict[str, dict[str, Any]] = {
    "file": {"type": "string", "format": "binary", "description": "Sound in any usual format."},
    "model": {"type": "string", "description": "Any name; the recogniser that is loaded hears it."},
    "language": {"type": "string", "description": "Code or English name; found out if absent."},
    "prompt": {"type": "string", "description": "Text before the first word, for its spelling."},
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "timestamp_granularities[]": {
        "type": "array",
        "items": {"type": "string", "enum": list(GRANULARITIES)},
        "description": "For verbose_json.",
    },
    "include[]": {"type": "array", "items": {"type": "string", "enum": list(INCLUDES)}},
    "keywords[]": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Words and names that are likely.",
    },
    "stream": {"type": "boolean", "default": False, "description": "Answer with events."},
    "chunking_strategy": {"type": "string", "description": "Accepted; pauses are found anyway."},
}
"""The form's fields, as OpenAPI describes them."""

MAX_CHARS = 4_096
"""Of the prompt, and of the keywords together: the recogniser is given some 220 tokens of both."""

TRUE, FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no", "")


@dataclass(frozen=True)
class Asked:
    """One request, with its defaults."""

    response_format: str = "json"
    language: str | None = None
    prompt: str = ""
    hotwords: str = ""
    temperature: float = 0.0
    granularities: tuple[str, ...] = ("segment",)
    logprobs: bool = False
    stream: bool = False

    @property
    def words(self) -> bool:
        """Whether the answer needs to know when each word was said."""
        return self.logprobs or self.response_format in ("srt", "vtt", "verbose_json")


def read_asked(form: Form, reach: Reach) -> Asked:
    """The form's fields against what the recogniser can do.

    Raises:
        Problem: a field is missing or cannot be followed; says which, and what to do.
    """
    if not form.has_file:
        raise Problem(400, "the form has no file: send one as 'file'", param=FILE_FIELD)
    if not form.size_bytes:
        raise Problem(400, "'file' is empty", code="unsupported_audio", param=FILE_FIELD)
    response_format = _one_of(form, "response_format", (*FORMATS, "diarized_json"), "json")
    if response_format == "diarized_json":
        raise _wrong("response_format", "this server does not tell speakers apart: ask for json")
    granularities = tuple(form.all("timestamp_granularities"))
    for granularity in granularities:
        if granularity not in GRANULARITIES:
            raise _wrong("timestamp_granularities", f"'{granularity}' is neither word nor segment")
    if granularities and response_format != "verbose_json":
        raise _wrong("timestamp_granularities", "these need response_format=verbose_json")
    include = form.all("include")
    for name in include:
        if name not in INCLUDES:
            raise _wrong("include", f"'{name}' is not {', '.join(INCLUDES)}")
    stream = _flag(form, "stream")
    if stream and response_format not in ("json", "text"):
        raise _wrong("stream", "events carry text alone: ask for json or text, or leave stream out")
    return Asked(
        response_format=response_format,
        language=_language(form, reach),
        prompt=_short("prompt", form.first("prompt")),
        hotwords=_short("keywords", " ".join(form.all("keywords"))),
        temperature=_temperature(form),
        granularities=granularities or ("segment",),
        logprobs="logprobs" in include,
        stream=stream,
    )


def _language(form: Form, reach: Reach) -> str | None:
    given = form.first("language").strip()
    several = form.all("languages")
    if not given and len(several) == 1:
        given = several[0].strip()
    if not given or given == "auto":
        return None
    code = language_code(given)
    if code is None:
        raise _wrong("language", f"'{given}' is no language: give its ISO 639-1 code, such as 'en'")
    if code not in reach.languages:
        hint = _english_only() if len(reach.languages) == 1 else ""
        raise _wrong("language", f"the recogniser that is loaded does not know '{code}'{hint}")
    return code


def _english_only() -> str:
    """What to do about a recogniser that knows English alone."""
    return (
        ", only English; start the server with a multilingual one, such as --whisper small "
        "(BANTER_WHISPER=small)"
    )


def _temperature(form: Form) -> float:
    text = form.first("temperature").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise _wrong("temperature", f"'{text}' is not a number from 0 to 1")
    return value


def _flag(form: Form, name: str) -> bool:
    text = form.first(name).strip().lower()
    if text in TRUE or text in FALSE:
        return text in TRUE
    raise _wrong(name, f"'{text}' is neither true nor false")


def _short(name: str, text: str) -> str:
    if len(text) > MAX_CHARS:
        raise _wrong(name, f"at most {MAX_CHARS} characters are taken, not {len(text)}")
    return text


def _one_of(form: Form, name: str, choices: tuple[str, ...], default: str) -> str:
    value = form.first(name).strip() or default
    if value not in choices:
        raise _wrong(name, f"'{value}' is not one of {', '.join(choices)}")
    return value


def _wrong(param: str, message: str) -> Problem:
    return Problem(400, f"'{param}': {message}", code="invalid_value", param=param)
