"""Who may use the server when keys are set, and where it refuses to listen without any."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime.ephemeral import EphemeralKeys
from realtime.guard import guard
from realtime.keyring import Keyring, keys_of
from realtime.keys import is_loopback, offered, parse_keys

KEYS = ("first-key-of-sixteen-and-more", "second-key-of-sixteen-and-more")


@pytest.fixture
async def url():
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse(protocols=("realtime",))
            await socket.prepare(request)
            await socket.send_str("hello")
            await socket.close()
            return socket
        return web.Response(text="open")

    app = web.Application(middlewares=[guard(Keyring(keys_of(KEYS)))])
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield server.make_url("")


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/static/app.js"])
async def test_what_comes_before_a_key_is_open(url, http, path):
    async with http.get(url.join(url.with_path(path))) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "path", ["/status", "/v1/realtime", "/realtime", "/healthy", "/static", "//health", "/Health"]
)
async def test_everything_else_wants_a_key(url, http, path):
    async with http.get(f"{str(url).rstrip('/')}{path}") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await answer.json())["error"]["code"] == "missing_api_key"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEYS[0]}"},
        {"authorization": f"bearer {KEYS[1]}"},
        {"api-key": KEYS[1]},
    ],
)
async def test_a_key_opens_everything(url, http, headers):
    async with http.get(url.with_path("/status"), headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEYS[0]}"},
        {"Authorization": f"Bearer {KEYS[0]}x"},
        {"Authorization": "Bearer"},
        {"api-key": "wrong"},
        {"api-key": ",".join(KEYS)},
        {"Cookie": f"key={KEYS[0]}"},
    ],
)
async def test_a_wrong_key_opens_nothing(url, http, headers):
    async with http.get(url.with_path("/status"), headers=headers) as answer:
        assert answer.status == 401


async def test_a_browser_shows_its_key_as_a_protocol_which_is_not_sent_back(url, http):
    protocols = ("realtime", f"openai-insecure-api-key.{KEYS[0]}")
    async with http.ws_connect(url.with_path("/v1/realtime"), protocols=protocols) as socket:
        assert socket.protocol == "realtime"
        assert (await socket.receive()).data == "hello"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(url.with_path("/v1/realtime"), protocols=("realtime",))
    assert refused.value.status == 401


def test_without_keys_nothing_is_accepted_and_none_is_asked_for():
    assert not Keyring(())
    assert Keyring(()).find([""]) is None
    assert parse_keys("") == parse_keys(" , ") == ()


def test_keys_are_separated_by_commas():
    assert parse_keys(f" {KEYS[0]}, {KEYS[1]} ,") == KEYS


@pytest.mark.parametrize(
    "value", ["short", f"{KEYS[0]},short", "a key with some spaces in it", "ä" * 20]
)
def test_a_key_that_is_no_secret_or_no_token_is_refused(value):
    with pytest.raises(ValueError, match="holds a key"):
        parse_keys(value)


def test_a_request_may_show_several_keys():
    headers = {
        "Authorization": "Bearer a",
        "Sec-WebSocket-Protocol": "realtime,openai-insecure-api-key.b",
        "api-key": "c",
    }
    assert offered(headers) == ["a", "b", "c"]


def test_of_many_keys_in_a_request_few_are_looked_at():
    protocols = ",".join(f"openai-insecure-api-key.{n}" for n in range(500))
    headers = {"Authorization": "Bearer a", "Sec-WebSocket-Protocol": protocols, "api-key": "c"}
    assert offered(headers) == ["a", "0", "1", "2"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("banter.example", False),
        ("", False),
    ],
)
def test_which_addresses_only_this_machine_can_reach(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer \xff\xfe",
        b"api-key: \xe9\xe8",
        b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.\xff",
    ],
)
@pytest.mark.parametrize("path", ["/status", "/v1/realtime"])
async def test_a_key_that_is_no_utf_8_is_a_wrong_one(line, path):
    app = web.Application(middlewares=[guard(Keyring(keys_of(KEYS)), EphemeralKeys())])
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + line)
        writer.write(b"\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"invalid_api_key" in answer
