"""A line of the log: whose it is, for people and for programs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from realtime.log_context import ITEM, context, enter, leave
from realtime.log_format import Contextual, JsonFormatter, TextFormatter

log = logging.getLogger("banter.sight")


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a handler with the formatter of this test has written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Contextual())
    handler.setFormatter(request.param())
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield stream
    log.removeHandler(handler)


json_lines = pytest.mark.parametrize("written", [JsonFormatter], indirect=True)
text_lines = pytest.mark.parametrize("written", [TextFormatter], indirect=True)


async def turn(session_id: str, item_id: str) -> None:
    """A session whose turn is worked at by a task that it starts."""

    async def work() -> None:
        await asyncio.sleep(0)
        log.info("heard by %s", session_id)

    tokens = enter(session_id, key="kitchen")
    ITEM.set(item_id)
    task = asyncio.create_task(work())
    leave(tokens)
    assert context() == {}
    await task


@json_lines
async def test_what_a_session_starts_carries_its_ids(written: io.StringIO) -> None:
    await asyncio.gather(turn("sess_1", "item_1"), turn("sess_2", "item_2"))
    log.info("of nobody")
    first, second, last = (json.loads(line) for line in written.getvalue().splitlines())
    assert (first["session"], first["item"]) == ("sess_1", "item_1")
    assert (second["session"], second["item"], second["key"]) == ("sess_2", "item_2", "kitchen")
    assert not {"session", "item", "key", "response"} & set(last)


@json_lines
def test_a_line_is_one_object_whatever_is_in_it(written: io.StringIO) -> None:
    log.warning("two\nlines and a %s", '"quote"', extra={"fields": {"decision_ms": 3.5}})
    try:
        raise ValueError("a bug")
    except ValueError:
        log.exception("it failed")
    said, failed = (json.loads(line) for line in written.getvalue().splitlines())
    assert said["message"] == 'two\nlines and a "quote"'
    assert (said["level"], said["logger"], said["decision_ms"]) == ("warning", "banter.sight", 3.5)
    assert said["time"].endswith("Z")
    assert "ValueError: a bug" in failed["error"]


@text_lines
async def test_for_people_an_id_is_told_once(written: io.StringIO) -> None:
    await turn("sess_1", "item_1")
    log.info("of nobody")
    first, last = written.getvalue().splitlines()
    assert first.endswith("INFO banter.sight: heard by sess_1 [item item_1, key kitchen]")
    assert last.endswith("INFO banter.sight: of nobody")
