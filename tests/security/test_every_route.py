"""Every route and upgrade that the application has, asked by those who may not."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from realtime.roles import ROLES, is_open, opens
from tests.security.conftest import KEYS, bearer, from_address
from tests.test_server import UPGRADE

OPEN = {"/", "/health", "/ready", "/static"}
"""Whatever else is open was opened by mistake."""

Routes = list[tuple[str, str]]


def routes_of(app: web.Application) -> Routes:
    """Method and path of all; a name in a path is some name."""
    found = []
    for route in app.router.routes():
        info = route.resource.get_info() if route.resource else {}
        path = info.get("path") or info.get("formatter") or f"{info['prefix']}/app.js"
        method = "GET" if route.method == "*" else route.method
        found.append((method, path.replace("{name}", "some").replace("{id}", "some")))
    return found


def closed(app: web.Application) -> Routes:
    found = [(method, path) for method, path in routes_of(app) if not is_open(path)]
    assert len(found) > 15
    return found


def test_no_more_is_open_than_was_meant(keyed):
    paths = {path for _, path in routes_of(keyed.app) if is_open(path)}
    assert {"/static" if path.startswith("/static/") else path for path in paths} == OPEN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-key-that-is-long-enough"},
        {"Authorization": f"Basic {KEYS['phone']}"},
        {"Cookie": f"api-key={KEYS['phone']}"},
        {"X-Forwarded-For": "127.0.0.1"},
    ],
)
async def test_without_a_key_every_route_and_upgrade_is_refused(keyed, http, headers):
    for method, path in closed(keyed.app):
        for more in ({}, UPGRADE):
            sent = {**headers, **more}
            async with http.request(method, keyed.make_url(path), headers=sent) as answer:
                assert answer.status == 401, (method, path)
                assert "WWW-Authenticate" in answer.headers


async def test_a_key_in_the_address_is_none(keyed, http):
    for method, path in closed(keyed.app):
        for name in ("key", "api_key", "access_token"):
            url = keyed.make_url(path).with_query({name: KEYS["phone"]})
            async with http.request(method, url) as answer:
                assert answer.status == 401, (method, path)


async def test_without_keys_a_page_of_another_site_is_refused_everywhere(server, http):
    for method, path in closed(server.app):
        for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
            for more in ({}, UPGRADE):
                headers = {"Origin": origin, **more}
                async with http.request(method, server.make_url(path), headers=headers) as answer:
                    assert answer.status == 403, (method, path, origin)


async def test_a_page_of_another_site_reads_nothing_of_a_server_with_keys(keyed, http):
    """No answer names its origin, so the browser keeps it from the page."""
    for method, path in routes_of(keyed.app):
        headers = {"Origin": "https://evil.example"}
        async with http.request(method, keyed.make_url(path), headers=headers) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers, (method, path)


def test_every_route_has_a_role(keyed):
    """One that no row of `roles.py` names would take a key with all roles: give it a row."""
    for method, path in closed(keyed.app):
        granted = [role for role in ROLES if opens(frozenset([role]), method, path)]
        assert granted, (method, path)
    assert not any(opens(frozenset([role]), "GET", "/v2/anything") for role in ROLES)


async def test_a_key_opens_what_its_roles_say_and_nothing_else(keyed, http):
    for method, path in closed(keyed.app):
        allowed = opens(frozenset(["status"]), method, path)
        headers = bearer("monitor")
        async with http.request(method, keyed.make_url(path), headers=headers) as answer:
            assert (answer.status == 403) is not allowed, (method, path)
            if not allowed:
                error = (await answer.json())["error"] if method != "HEAD" else {}
                assert error.get("code", "insufficient_permissions") == "insufficient_permissions"
    async with http.get(keyed.make_url("/status"), headers=bearer("monitor")) as answer:
        assert answer.status == 200
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(keyed.make_url("/v1/realtime"), headers=bearer("monitor"))
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "path",
    ["//status", "/./status", "/static/../status", "/%73tatus", "/status/", "/STATUS", "/status?x"],
)
async def test_no_spelling_of_an_address_is_a_way_around(keyed, http, path):
    url = f"{str(keyed.make_url('')).rstrip('/')}{path}"
    async with http.get(aiohttp.client.URL(url, encoded=True)) as answer:
        assert answer.status in (401, 404), path
        assert "uptime" not in await answer.text()


async def test_who_tries_keys_waits_and_nobody_else_at_that_address_does(keyed, http):
    url, tried = keyed.make_url("/status"), {"Authorization": "Bearer wrong-key-and-more"}
    headers = from_address("203.0.113.5")
    seen = []
    for _ in range(25):
        async with http.get(url, headers={**tried, **headers}) as answer:
            seen.append(answer.status)
            told = await answer.json()
    assert seen[:20] == [401] * 20
    assert seen[-1] == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert told["error"]["code"] == "too_many_failed_keys"
    async with http.get(url, headers={**headers, **bearer("monitor")}) as answer:
        assert answer.status == 200
    async with http.get(url, headers={**tried, **from_address("203.0.113.6")}) as answer:
        assert answer.status == 401
