"""A real server for other people's clients, a record of what passes, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from tests.clients import chat, compatibility, serve
from tests.clients.wire import Wire
from tests.conftest import run_server

pytest.importorskip("livekit")

THEIRS = "(pipecat|livekit|openai|agents).*"
"""Packages whose warnings about themselves are theirs: their versions are pinned."""

LAST = ("test_message_forms.py", "test_compatibility.py")
"""Files that look at what all the others did."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-compatibility", action="store_true", help="write docs/compatibility.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "feature(client, feature): a cell of docs/compatibility.md; yes if it passes"
    )
    config.addinivalue_line("markers", "errors(*codes): the `error` events that are meant to come")
    for kind in ("DeprecationWarning", "UserWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{kind}:{THEIRS}")
    rule = "ignore:.* is deprecated since .*:DeprecationWarning"  # pipecat's, said of its callers
    config.addinivalue_line("filterwarnings", rule)
    config.stash[compatibility.FOUND] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST.index(item.path.name) + 1 if item.path.name in LAST else 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A cell is yes while every test of it has passed, teardown included."""
    report = yield
    if report.skipped:
        return report
    wire = getattr(item, "funcargs", {}).get("wire")
    if report.failed and wire:
        report.sections.append(("what passed over the wire", wire.trace()))
    found = item.config.stash[compatibility.FOUND]
    for mark in item.iter_markers("feature"):
        client, feature = mark.args
        assert feature in compatibility.FEATURES, feature
        found[client, feature] = found.get((client, feature), True) and report.passed
    return report


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that holds what passed over every socket of this run."""
    return tmp_path_factory.mktemp("wire") / "record.jsonl"


@pytest.fixture(scope="session")
def model() -> Iterator[chat.Chat]:
    """The language model."""
    with chat.serve() as started:
        yield started


@pytest.fixture(scope="session")
def site(models: dict[str, Path], model: chat.Chat, record: Path) -> Iterator[str]:
    """The server's address, `http://localhost:PORT`."""
    yield from recorded_server(record, model)


@pytest.fixture(scope="session")
def secure_site(models: dict[str, Path], model: chat.Chat, record: Path) -> Iterator[str]:
    """The same with a certificate of its own, `https://localhost:PORT`."""
    yield from recorded_server(record, model, "--tls-self-signed", "on")


@pytest.fixture(scope="session")
def certificate(secure_site: str) -> Path:
    """The certificate that `secure_site` shows, for those who are to trust it."""
    return bootstrap.default_volume() / "tls" / "certificate.pem"


def recorded_server(record: Path, model: chat.Chat, *arguments: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(serve.FILE, str(record))
        yield from run_server(
            *("--replier", "openai", "--llm-url", model.url, "--max-sessions", "8"),
            *("--fallback", "", "--log-level", "warning", *arguments),
            module="tests.clients.serve",
        )


@pytest.fixture
def wire(record: Path, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """What passes during this test. No `error` may, but those it is marked with."""
    watched = Wire(record)
    yield watched
    mark = request.node.get_closest_marker("errors")
    expected = mark.args if mark else ()
    errors = [e for e in watched.sent("error") if e["error"].get("code") not in expected]
    assert not errors
