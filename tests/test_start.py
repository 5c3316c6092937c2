"""The start of the real process: what it refuses, what it says, and in which order."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import ROOT, run_server

KEY = "a-key-that-only-this-test-knows"


def started(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    return subprocess.run(
        [sys.executable, "-m", "realtime", "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_does_not_listen_for_others_without_a_key(host):
    end = started("--host", host)
    assert end.returncode == 2
    assert end.stdout == ""
    (line,) = end.stderr.splitlines()
    assert f"others can reach {host}" in line
    assert "BANTER_API_KEYS" in line
    assert "--insecure on" in line


def test_a_key_that_is_too_short_is_refused_without_showing_it():
    end = started(BANTER_API_KEYS="hunter2")
    assert end.returncode == 2
    assert "less than 16 characters" in end.stderr
    assert "hunter2" not in end.stderr


def test_a_shared_secret_that_is_a_key_too_is_refused_without_showing_it():
    both = "a-secret-of-thirty-two-and-some-more"
    end = started(BANTER_API_KEYS=f"{KEY},{both}", BANTER_SHARED_SECRET=f"{both[::-1]},{both}")
    assert end.returncode == 2
    assert "--shared-secret (BANTER_SHARED_SECRET): it is also a key" in end.stderr
    assert "openssl rand -hex 32" in end.stderr
    assert both not in end.stderr


@pytest.fixture
def locked_url(models: dict[str, Path]) -> Iterator[str]:
    yield from run_server("--replier", "echo", "--host", "0.0.0.0", "--api-keys", KEY)


async def test_with_a_key_it_listens_for_others_and_tells_how_it_started(locked_url):
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{locked_url}/status") as answer:
            assert answer.status == 401
        async with http.get(f"{locked_url}/health") as answer:
            assert await answer.json() == {
                "status": "ok",
                "models": {"tts": True, "whisper": True},
            }
        async with http.get(f"{locked_url}/ready") as answer:
            assert answer.status == 200
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.get(f"{locked_url}/status", headers=headers) as answer:
            status = await answer.json()
    assert list(status["start_s"]) == ["bootstrap", "load", "warm-up", "calibration", "listener"]
    assert min(status["start_s"].values()) > 0


async def test_on_this_machine_alone_no_key_is_asked_for(echo_url):
    async with aiohttp.ClientSession() as http, http.get(f"{echo_url}/status") as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for localhost, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    parts = [(folder / name).read_text() for name in ("certificate.pem", "key.pem")]
    made.write_text("".join(parts))
    return made


@pytest.fixture
def tls_url(models: dict[str, Path], certificate: Path) -> Iterator[str]:
    yield from run_server("--replier", "echo", "--tls-cert", str(certificate))


async def test_with_a_certificate_it_speaks_https_and_wss(tls_url, certificate):
    assert tls_url.startswith("https://localhost:")
    trust = ssl.create_default_context(cafile=str(certificate))
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{tls_url}/health", ssl=trust) as answer:
            assert answer.status == 200
        async with http.ws_connect(f"{tls_url}/v1/realtime", ssl=trust) as socket:
            assert (await socket.receive_json())["type"] == "session.created"


def test_files_that_are_no_certificate_are_refused_at_the_start(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    end = started("--tls-cert", str(wrong))
    assert end.returncode == 2
    assert f"--tls-cert (BANTER_TLS_CERT): {wrong}" in end.stderr
    end = started("--tls-key", str(wrong))
    assert end.returncode == 2
    assert "no --tls-cert" in end.stderr
