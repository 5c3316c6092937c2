"""A port that is free, Banter's or another's, by real sockets; and who is given the microphone."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest
from aiohttp.test_utils import TestServer

from realtime.doctor.finding import Level
from realtime.doctor.network import Port, ask_health, gather, judge_microphone, judge_port


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of something that listens and hangs up on everybody: no HTTP."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            try:
                listener.accept()[0].close()
            except OSError:
                return

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def test_a_free_port(unused_port: int) -> None:
    finding = judge_port("127.0.0.1", unused_port, gather("127.0.0.1", unused_port))
    assert (finding.level, finding.seen) == (Level.OK, f"127.0.0.1:{unused_port} is free")
    assert judge_port("127.0.0.1", 0, gather("127.0.0.1", 0)).level is Level.OK


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_port_that_another_program_has(mute: int) -> None:
    finding = judge_port("127.0.0.1", mute, gather("127.0.0.1", mute))
    assert finding.level is Level.ERROR
    assert "another program" in finding.seen
    assert "--port" in finding.remedy


async def test_a_port_that_banter_has(server: TestServer) -> None:
    port = server.port
    assert port
    found = await asyncio.to_thread(gather, "0.0.0.0", port)
    assert found.errno == errno.EADDRINUSE
    finding = judge_port("0.0.0.0", port, found)
    assert finding.level is Level.OK
    assert "a Banter runs there" in finding.seen


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (503, '{"status":"error","models":{"tts":false,"whisper":true}}', "warning"),
        (200, '{"status":"ok","models":{"tts":true,"whisper":true},"more":1}', "error"),
        (200, '{"status":"ok","models":null}', "error"),
        (200, "null", "error"),
        (200, "<html>", "error"),
    ],
)
def test_what_answers_is_banter_only_with_its_very_keys(status: int, body: str, level: str) -> None:
    taken = Port(errno.EADDRINUSE, "in use", (status, body))
    assert judge_port("127.0.0.1", 8_000, taken).level == level


def test_an_address_that_this_machine_has_not() -> None:
    """192.0.2.0/24 is set apart for documentation: nobody has it."""
    finding = judge_port("192.0.2.1", 8_000, gather("192.0.2.1", 8_000))
    assert finding.level is Level.ERROR
    assert "--host" in finding.remedy


def test_a_port_for_the_privileged() -> None:
    finding = judge_port("0.0.0.0", 80, Port(errno.EACCES, "Permission denied"))
    assert "above 1023" in finding.remedy


def test_nobody_there_has_no_health(unused_port: int) -> None:
    assert ask_health("127.0.0.1", unused_port) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8", "me.localhost"])
def test_the_microphone_is_given_to_localhost(host: str) -> None:
    assert judge_microphone(host, 8_000).level is Level.OK


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "voice.example"])
def test_and_elsewhere_to_https_alone(host: str) -> None:
    finding = judge_microphone(host, 8_000)
    assert finding.level is Level.WARNING
    assert "ssh -L 8000:localhost:8000" in finding.remedy


def test_with_a_certificate_any_browser_that_trusts_it_has_a_microphone():
    finding = judge_microphone("0.0.0.0", 8_000, tls=True)
    assert finding.level is Level.OK
    assert "https://THIS-MACHINE:8000/" in finding.seen
