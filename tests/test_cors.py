"""Pages of other origins: who may call from a browser, and who may open a session from one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from realtime.keys import foreign, parse_origins
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig

KEY = "a-key-of-sixteen-and-more"
PAGE = "https://voice.example.com"
SECRETS = "/v1/realtime/client_secrets"
ALLOWED = "Access-Control-Allow-Origin"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def serving(runtime, manners):
    servers: list[TestServer] = []

    async def start(**settings) -> TestServer:
        app = make_app(runtime, Metrics(), SessionConfig(), manners, **settings)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return servers[-1]

    yield start
    for server in servers:
        await server.close()


@pytest.mark.parametrize(("listed", "shown"), [(PAGE, PAGE), ("*", "*")])
async def test_a_listed_page_may_make_a_key_for_a_session(serving, http, listed, shown):
    server = await serving(origins=(listed,), keys=(KEY,))
    url = server.make_url(SECRETS)
    async with http.options(url, headers={"Origin": PAGE, **PREFLIGHT}) as answer:
        assert answer.status == 204  # and no key was shown
        assert answer.headers[ALLOWED] == shown
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        headers = answer.headers["Access-Control-Allow-Headers"]
        assert headers == PREFLIGHT["Access-Control-Request-Headers"]
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    shows = {"Origin": PAGE, "Authorization": f"Bearer {KEY}"}
    async with http.post(url, headers=shows) as answer:
        assert answer.status == 200
        assert answer.headers[ALLOWED] == shown


async def test_a_listed_page_can_read_why_it_is_refused(serving, http):
    server = await serving(origins=(PAGE,), keys=(KEY,))
    async with http.post(server.make_url(SECRETS), headers={"Origin": PAGE}) as answer:
        assert answer.status == 401
        assert answer.headers[ALLOWED] == PAGE
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_another_page_is_told_nothing(serving, http):
    server = await serving(origins=(PAGE,), keys=(KEY,))
    other = {"Origin": "https://other.example", "Authorization": f"Bearer {KEY}"}
    async with http.options(server.make_url(SECRETS), headers={**other, **PREFLIGHT}) as answer:
        assert ALLOWED not in answer.headers
        assert answer.status == 405
    async with http.post(server.make_url(SECRETS), headers=other) as answer:
        assert ALLOWED not in answer.headers
        assert answer.headers["Vary"] == "Origin"


async def test_by_default_no_page_is_allowed_and_nothing_is_added(serving, http):
    server = await serving(keys=(KEY,))
    shows = {"Origin": PAGE, "Authorization": f"Bearer {KEY}"}
    async with http.post(server.make_url(SECRETS), headers=shows) as answer:
        assert answer.status == 200
        assert ALLOWED not in answer.headers
        assert "Vary" not in answer.headers


async def test_pages_outside_v1_are_not_shared(serving, http):
    server = await serving(origins=("*",))
    for path in ("/", "/health", "/status"):
        async with http.get(server.make_url(path), headers={"Origin": PAGE}) as answer:
            assert answer.status == 200
            assert ALLOWED not in answer.headers


async def test_with_keys_a_session_is_opened_from_any_page_that_has_one(serving, http):
    server = await serving(keys=(KEY,))
    protocols = ("realtime", f"openai-insecure-api-key.{KEY}")
    url = server.make_url("/v1/realtime")
    async with http.ws_connect(url, protocols=protocols, origin=PAGE) as socket:
        assert (await socket.receive_json())["type"] == "session.created"


@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime"])
async def test_without_keys_a_foreign_page_opens_no_session(serving, http, path):
    server = await serving()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(server.make_url(path), origin=PAGE)
    assert refused.value.status == 403


async def test_without_keys_a_foreign_page_is_told_the_remedy_and_makes_nothing(serving, http):
    server = await serving()
    async with http.post(server.make_url(SECRETS), headers={"Origin": PAGE}) as answer:
        assert answer.status == 403
        error = (await answer.json())["error"]
    assert error["code"] == "origin_not_allowed"
    assert "--cors-origins (BANTER_CORS_ORIGINS)" in error["message"]


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        ({"origins": (PAGE,)}, PAGE),
        ({"origins": ("*",)}, "null"),
        ({}, "http://localhost:3000"),
        ({"only_here": True}, "http://127.0.0.1:5173"),
    ],
)
async def test_without_keys_pages_of_this_machine_and_listed_ones_open_sessions(
    serving, http, settings, origin
):
    server = await serving(**settings)
    async with http.ws_connect(server.make_url("/v1/realtime"), origin=origin) as socket:
        assert (await socket.receive_json())["type"] == "session.created"


@pytest.mark.parametrize(
    ("headers", "only_here", "is_foreign"),
    [
        ({}, True, False),
        ({"Origin": "http://192.168.1.7:8000", "Host": "192.168.1.7:8000"}, False, False),
        ({"Origin": "https://voice.example.com", "Host": "voice.example.com"}, False, False),
        # a domain that was made to point at the visitor's machine: its name proves nothing
        ({"Origin": "http://rebound.example:8000", "Host": "rebound.example:8000"}, True, True),
        ({"Origin": "http://other.example", "Host": "192.168.1.7:8000"}, False, True),
        ({"Origin": "http://localhost.evil.example", "Host": "localhost:8000"}, True, True),
        ({"Origin": "null", "Host": "localhost:8000"}, True, True),
        ({"Origin": "http://[::1]:8000", "Host": "[::1]:8000"}, True, False),
        ({"Origin": "http://[bad", "Host": "localhost"}, False, True),
        # what a page asks of the domain that it came from has no origin
        ({"Host": "rebound.example:8000"}, True, True),
        ({"Host": "localhost.rebound.example"}, True, True),
        ({"Host": "localhost@rebound.example"}, True, True),
        ({"Host": "[bad"}, True, True),
        ({"Host": "rebound.example:8000"}, False, False),
        ({"Host": "LocalHost:8000"}, True, False),
        ({"Host": "127.0.0.1:8000"}, True, False),
        ({"Host": "[::1]:8000"}, True, False),
        ({"Host": "::1"}, True, True),
    ],
)
def test_which_pages_are_foreign(headers, only_here, is_foreign):
    assert foreign(headers, (), only_here=only_here) is is_foreign


@pytest.mark.parametrize(
    ("listed", "is_foreign"),
    [(("https://voice.example.com",), False), (("*",), False), (("https://x.example",), True)],
)
def test_behind_a_proxy_a_listed_page_names_the_server(listed, is_foreign):
    headers = {"Host": "voice.example.com"}
    assert foreign(headers, listed, only_here=True) is is_foreign


async def test_a_domain_that_points_at_this_machine_reads_nothing_of_it(serving, http):
    server = await serving(only_here=True)
    for path in ("/status", "/metrics", "/v1/models", "/v1/realtime"):
        headers = {"Host": "rebound.example:8000"}
        async with http.get(server.make_url(path), headers=headers) as answer:
            assert answer.status == 403
            error = (await answer.json())["error"]
        assert error["code"] == "host_not_allowed"
        assert "--cors-origins (BANTER_CORS_ORIGINS)" in error["message"]
    for path in ("/", "/health", "/ready"):
        async with http.get(server.make_url(path), headers=headers) as answer:
            assert answer.status == 200
    async with http.get(server.make_url("/status")) as answer:
        assert answer.status == 200


def test_origins_are_read_from_a_setting():
    assert parse_origins("") == ()
    assert parse_origins(" https://Voice.example.com,http://localhost:3000 ,null") == (
        "https://voice.example.com",
        "http://localhost:3000",
        "null",
    )
    assert parse_origins("*") == ("*",)


@pytest.mark.parametrize("value", ["voice.example.com", "https://a.example/", "https://", "a,*"])
def test_an_origin_that_could_never_match_is_refused(value):
    with pytest.raises(ValueError, match="origin"):
        parse_origins(value)
