"""A real server for other people's clients, a record of what passes, and what came of it."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.clients import chat, compatibility, serve
from tests.clients.wire import Wire
from tests.conftest import run_server

THEIRS = "(pipecat|livekit|openai).*"
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
    config.stash[compatibility.FOUND] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST.index(item.path.name) + 1 if item.path.name in LAST else 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A cell is yes while every test of it has passed, teardown included."""
    report = yield
    if report.skipped:
        return report
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
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for localhost, signed by itself; certificate and key in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(self_signed())
    return path


@pytest.fixture(scope="session")
def site(models: dict[str, Path], model: chat.Chat, record: Path) -> Iterator[str]:
    """The server's address, `http://localhost:PORT`."""
    yield from recorded_server(record, model)


@pytest.fixture(scope="session")
def secure_site(
    models: dict[str, Path], model: chat.Chat, record: Path, certificate: Path
) -> Iterator[str]:
    """The same with TLS, `https://localhost:PORT`."""
    yield from recorded_server(record, model, "--tls-cert", str(certificate))


def recorded_server(record: Path, model: chat.Chat, *arguments: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(serve.FILE, str(record))
        yield from run_server(
            *("--replier", "openai", "--llm-url", model.url, "--max-sessions", "8"),
            *("--log-level", "warning", *arguments),
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
    assert not errors, f"{errors}\n{watched.trace()}"


def self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
