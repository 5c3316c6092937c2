"""The bodies of HTTP requests: a form with a file, or the JSON of what is to be spoken.

The first byte chooses between them and into how many pieces the body comes; then the body, whose
boundary is `b`. Only a `Problem` may come of it: an answer that names what is wrong.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock, patch

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from realtime.engines import Reach
from realtime.languages import language_code, language_name
from realtime.rest.asked import FORMATS, read_asked
from realtime.rest.problem import ClientGone, Problem
from realtime.rest.speech import read_request
from realtime.rest.upload import MAX_FIELDS, MAX_TEXT_BYTES, read_form
from tests.timeless import TimelessLoop

MAX_BYTES = 4_096
REACH = Reach(languages=frozenset({"en", "de"}), translates=True)

_loop = TimelessLoop()


def one_input(data: bytes) -> None:
    """Run one body; raises where something else than a `Problem` comes of it."""
    if len(data) < 2:
        return
    problem = _problem_of(data)
    if problem:
        assert 400 <= problem.status < 500, problem
        assert str(problem)
        assert problem.response().status == problem.status


def _problem_of(data: bytes) -> Problem | None:
    try:
        if data[0] & 1:
            _check_spoken(data[1:])
        else:
            with patch.object(asyncio, "to_thread", _here), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # aiohttp's, of headers that are none
                _loop.run_until_complete(_upload(data[1:], step=1 + (data[0] >> 1) * 7))
    except Problem as problem:
        return problem
    except ClientGone:
        pass
    return None


async def _here(work: Callable[..., Any], *given: Any) -> Any:
    return work(*given)


async def _upload(body: bytes, *, step: int) -> None:
    reader = StreamReader(Mock(BaseProtocol), 2**16, loop=_loop)
    request = make_mocked_request(
        "POST",
        "/v1/audio/transcriptions",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        payload=reader,
    )
    for start in range(0, len(body), step):
        reader.feed_data(body[start : start + step])
    reader.feed_eof()
    async with read_form(request, max_bytes=MAX_BYTES) as form:
        assert form.size_bytes <= MAX_BYTES
        form.file.seek(0)
        assert len(form.file.read()) == form.size_bytes <= len(body)
        values = [value for each in form.fields.values() for value in each]
        assert len(values) <= MAX_FIELDS
        assert all(len(value) <= MAX_TEXT_BYTES for value in values)
        asked = read_asked(form, REACH)
    assert asked.response_format in FORMATS
    assert 0 <= asked.temperature <= 1
    assert asked.language is None or asked.language in REACH.languages
    assert not asked.language or language_code(language_name(asked.language)) == asked.language


def _check_spoken(body: bytes) -> None:
    asked = read_request(body)
    assert asked.input
    assert 0.25 <= asked.speed <= 1.5
