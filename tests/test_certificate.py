"""The server's own certificate: made once, kept, trusted by those who are given it."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509

import bootstrap
from realtime import certificate as module
from realtime.certificate import own_certificate
from realtime.errors import SettingsError
from realtime.settings import read_settings
from realtime.tls import server_context
from tests.conftest import ROOT


@pytest.fixture
async def secure(tmp_path: Path):
    """A server with a certificate of its own, by name, and that certificate."""
    app = web.Application()
    app.router.add_get("/", _hello)
    certificate, key = own_certificate(tmp_path)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=server_context(certificate, key))
    yield server, certificate
    await server.close()


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_who_is_given_it_trusts_the_server_by_every_name(secure, host):
    server, certificate = secure
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    url = f"https://{host}:{server.port}/"
    async with aiohttp.ClientSession() as http, http.get(url, ssl=trusting) as answer:
        assert await answer.text() == "hello"


async def test_nobody_else_does(secure):
    server, _ = secure
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"https://localhost:{server.port}/")


def test_it_names_this_machine_and_is_for_servers_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module.socket, "gethostname", lambda: "studio")
    path, key = own_certificate(tmp_path / "new" / "tls")
    shown = x509.load_pem_x509_certificate(path.read_bytes())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "studio"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_it_is_made_once_and_kept(tmp_path):
    path, key = own_certificate(tmp_path)
    before = path.read_bytes(), key.read_bytes()
    assert own_certificate(tmp_path) == (path, key)
    assert (path.read_bytes(), key.read_bytes()) == before


@pytest.mark.parametrize("spoilt", ["certificate.pem", "key.pem"])
def test_what_cannot_be_read_is_made_anew(tmp_path, spoilt):
    path, key = own_certificate(tmp_path)
    (tmp_path / spoilt).write_bytes(b"half a fi")
    own_certificate(tmp_path)
    assert server_context(path, key)


def test_what_is_about_to_expire_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DAYS", module.RENEW_DAYS)
    path, _ = own_certificate(tmp_path)
    monkeypatch.undo()
    own_certificate(tmp_path)
    shown = x509.load_pem_x509_certificate(path.read_bytes())
    left = shown.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert left.days >= 800


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "tls").write_text("a file")
    with pytest.raises(SettingsError, match="--tls-self-signed") as error:
        own_certificate(tmp_path / "tls")
    assert "--volume" in str(error.value)


def test_one_certificate_is_enough(tmp_path):
    path, _ = own_certificate(tmp_path)
    with pytest.raises(SettingsError, match="--tls-self-signed"):
        read_settings(["--tls-self-signed", "on", "--tls-cert", str(path)], {})


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_a_node_program_trusts_it_by_the_variable(secure):
    server, certificate = secure
    program = (
        "require('https').get(process.argv[1], a => { console.log(a.statusCode); a.resume(); })"
        ".on('error', e => { console.log(e.code); });"
    )
    refused = "DEPTH_ZERO_SELF_SIGNED_CERT"
    for variables, said in (({"NODE_EXTRA_CA_CERTS": str(certificate)}, "200"), ({}, refused)):
        node = await asyncio.create_subprocess_exec(
            str(shutil.which("node")),
            "-e",
            program,
            f"https://localhost:{server.port}/",
            stdout=subprocess.PIPE,
            env=variables,
        )
        out, _ = await node.communicate()
        assert out.decode().strip() == said


async def test_the_server_says_where_it_is_and_speaks_wss(models, tmp_path):
    for made in bootstrap.default_volume().iterdir():  # the models, and a certificate of its own
        if made.name != "tls":
            (tmp_path / made.name).symlink_to(made)
    command = ["-m", "realtime", "--port", "0", "--replier", "echo", "--tls-self-signed", "on"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--volume", str(tmp_path), cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        told = (await process.stdout.readline()).decode().strip()
        certificate = told.partition("NODE_EXTRA_CA_CERTS=")[2]
        assert certificate == str(tmp_path / "tls" / "certificate.pem")
        trusting = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as http:
            address = url.replace("https://", "wss://") + "v1/realtime"
            async with http.ws_connect(address, ssl=trusting) as socket:
                assert (await socket.receive_json())["type"] == "session.created"
    finally:
        process.terminate()
        assert await process.wait() == 0
