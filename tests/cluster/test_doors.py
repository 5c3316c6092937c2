"""What the balancer lets in and what it keeps to itself, and keys for a short time."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import secrets
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from benchmarks.balancer import CALLS, CONFIGURATION, WEB, started_balancer
from benchmarks.server import free_port
from realtime.certificate import own_certificate
from tests.cluster.conftest import BEHIND_HAPROXY, KEY, Build
from tests.cluster.names import serving
from tests.conftest import ROOT
from tests.test_server import UPGRADE

pytestmark = BEHIND_HAPROXY

SECRET = secrets.token_hex(32)
FOUND_WITHIN_S = 60
"""An address that is no longer told is believed for 10 s more: `hold obsolete`."""


def browser(value: str) -> tuple[str, str]:
    return "realtime", f"openai-insecure-api-key.{value}"


async def made(http: aiohttp.ClientSession, url: str, told: str = "be brief") -> str:
    body = {"session": {"instructions": told}, "sessions": 4}
    async with http.post(f"{url}/v1/realtime/client_secrets", json=body) as answer:
        assert answer.status == 200
        return str((await answer.json())["value"])


async def instructions(url: str, value: str) -> str:
    """What a page that connects with this key is told of its session."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/realtime", protocols=browser(value)) as socket,
    ):
        return str(json.loads((await socket.receive()).data)["session"]["instructions"])


async def test_a_key_for_a_short_time_is_good_wherever_it_lands(build: Build):
    keyed = ("--max-sessions", "4", "--api-keys", KEY, "--shared-secret", SECRET)
    cluster = await build(keyed, keyed, key=KEY)
    value = await made(cluster.http, cluster.balancer.url)
    for server in cluster.front_ends:
        assert await instructions(server.url, value) == "be brief"
    for _ in range(4):
        assert await instructions(cluster.balancer.url, value) == "be brief"


async def test_with_pages_of_instructions_in_it_it_passes_through_too(build: Build):
    keyed = ("--max-sessions", "4", "--api-keys", KEY, "--shared-secret", SECRET)
    cluster = await build(keyed, key=KEY)
    pages = (ROOT / "docs" / "reliability.md").read_text()[:8_000]
    value = await made(cluster.http, cluster.balancer.url, pages)
    assert len(value) > 4_000
    assert await instructions(cluster.balancer.url, value) == pages


async def test_without_the_shared_secret_it_is_good_where_it_was_made_only(build: Build):
    keyed = ("--max-sessions", "4", "--api-keys", KEY)
    cluster = await build(keyed, keyed, key=KEY)
    first, second = cluster.front_ends
    value = await made(cluster.http, first.url)
    assert await instructions(first.url, value) == "be brief"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await instructions(second.url, value)
    assert refused.value.status == 401


async def test_an_address_has_so_many_calls_over_all_front_ends(build: Build):
    near = "acl near src 127.0.0.0/8 ::1"
    cluster = await build(
        ("--max-sessions", "4"),
        ("--max-sessions", "4"),
        changes={near: "acl near src 127.0.0.1 ::1"},
        environment={"BALANCER_CALLS_OF_ADDRESS": "2"},
    )
    url = f"{cluster.balancer.url}/v1/realtime"
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.77", 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        first = await http.ws_connect(url)
        async with http.ws_connect(url):
            assert await cluster.open() == [1, 1]
            async with http.get(url, headers=UPGRADE) as answer:
                code = (await answer.json())["error"]["code"]
                assert (answer.status, code) == (503, "address_sessions_reached")
                assert int(answer.headers["Retry-After"]) >= 1
            written = URL(url.replace("/realtime", "/%72ealtime"), encoded=True)
            async with http.get(written, headers=UPGRADE) as answer:
                code = (await answer.json())["error"]["code"]
                assert code == "address_sessions_reached", "of a front end it is the same path"
            await cluster.call()  # of another address
        async with asyncio.timeout(10):  # the balancer counts a call until its connection is gone
            again = None
            while again is None:
                with suppress(aiohttp.WSServerHandshakeError):
                    again = await http.ws_connect(url)
                await asyncio.sleep(0.05)
        assert (await again.receive_json())["type"] == "session.created"
        await again.close()
        await first.close()


async def test_figures_of_one_front_end_are_not_told_by_chance(build: Build):
    cluster = await build(("--max-sessions", "4"))
    for path in ("/metrics", "/%6detrics", "/metric%73?of=all"):
        async with cluster.http.get(URL(cluster.balancer.url + path, encoded=True)) as answer:
            assert answer.status == 404, path
    async with cluster.http.get(f"{cluster.balancer.statistics_url}/metrics") as answer:
        assert "haproxy_server_status" in await answer.text()
    async with cluster.http.get(cluster.balancer.url) as answer:
        assert "Banter" in await answer.text()


async def test_without_a_front_end_a_caller_is_told_when_to_come_again():
    async with (
        started_balancer(["127.0.0.1:9"]) as balancer,
        aiohttp.ClientSession() as http,
        http.get(f"{balancer.url}/v1/realtime", headers=UPGRADE) as answer,
    ):
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert (await answer.json())["error"]["code"] == "no_front_end"


async def test_what_the_environment_says_of_another_balancer_is_not_heard(monkeypatch):
    """These tests start one of their own."""
    monkeypatch.setenv("BALANCER_CERT", "/nowhere.pem")
    async with started_balancer(["127.0.0.1:9"]) as balancer:
        assert set(await balancer.servers()) >= {"fe1"}


async def test_who_dribbles_a_head_or_sends_a_huge_one_reaches_no_front_end():
    """There is none: what came through would be answered with 503."""
    quick = {"timeout http-request 10s": "timeout http-request 1s"}
    async with started_balancer(["127.0.0.1:9"], changes=quick) as balancer:
        host, _, port = balancer.url.removeprefix("http://").partition(":")
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(100))
        long = b"X: %s\r\n" % (b"x" * 20_000)
        for head, status in (
            (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"408"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n", b"400"),
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head)
            answered = await asyncio.wait_for(reader.readline(), 10)
            assert answered.split()[1] == status
            writer.close()


@pytest.mark.parametrize("known", [443, 0])
async def test_with_a_certificate_it_speaks_https_and_leads_http_there(tmp_path, known):
    """To the port that callers know it by, which is not that of http."""
    chain, key = own_certificate(tmp_path)
    pem = tmp_path / "voice.pem"
    pem.write_bytes(chain.read_bytes() + key.read_bytes())
    port, secure = free_port(), free_port()
    at = f"127.0.0.1:{secure}"
    environment = {"BALANCER_CERT": str(pem), "BALANCER_TLS_BIND": at}
    environment["BALANCER_HTTPS"] = "" if known == 443 else f":{secure}"
    trust = ssl.create_default_context(cafile=str(chain))
    async with (
        stand_in("127.0.0.1", port),
        started_balancer([f"127.0.0.1:{port}"], environment=environment) as balancer,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"https://{at}/", ssl=trust) as answer:
            assert await answer.text() == "127.0.0.1"
        plain = f"{balancer.url}/a%20page?of=two&words"
        async with http.get(URL(plain, encoded=True), allow_redirects=False) as answer:
            assert answer.status == 308
            host = "127.0.0.1" if known == 443 else at
            assert answer.headers["Location"] == f"https://{host}/a%20page?of=two&words"
        if known != 443:
            async with http.get(balancer.url, ssl=trust) as answer:
                assert (str(answer.url), await answer.text()) == (f"https://{at}/", "127.0.0.1")


async def test_while_the_pools_are_out_front_ends_speak_for_themselves():
    """`/health` is 503 on all of them, and the page comes all the same."""
    port = free_port()
    async with (
        stand_in("127.0.0.1", port, health=503),
        started_balancer([f"127.0.0.1:{port}"]) as balancer,
        aiohttp.ClientSession() as http,
    ):
        await balancer.until(1, "DOWN", CALLS)
        async with asyncio.timeout(FOUND_WITHIN_S):
            while True:
                found = (await balancer.servers(WEB))["fe1"]
                if found["check_code"] == "503":
                    break
                await asyncio.sleep(0.1)
        assert (found["status"], found["check_status"]) == ("UP", "L7OK")
        for path, status in (("/", 200), ("/health", 503), ("/ready", 503)):
            async with http.get(f"{balancer.url}{path}") as answer:
                assert (answer.status, await answer.text()) == (status, "127.0.0.1"), path


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="root alone may become somebody else"
)
async def test_started_as_root_it_becomes_that_user_and_of_that_group():
    try:
        user = pwd.getpwnam("haproxy")
    except KeyError:
        pytest.skip("no user is called haproxy")
    environment = {"BALANCER_USER": "haproxy"}
    async with started_balancer(["127.0.0.1:9"], environment=environment) as balancer:
        told = Path(f"/proc/{balancer.process.pid}/status")
        status = await asyncio.to_thread(told.read_text)
    found = dict(line.split(":", 1) for line in status.splitlines())
    assert set(found["Uid"].split()) == {str(user.pw_uid)}
    assert set(found["Gid"].split()) == {str(user.pw_gid)}
    assert set(found["Groups"].split()) <= {str(user.pw_gid)}


@asynccontextmanager
async def stand_in(host: str, port: int, health: int = 200) -> AsyncIterator[None]:
    """What the balancer sees of a front end; its page is its address, and `health` the status of
    `/health` and `/ready`."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=host, status=200 if request.path == "/" else health)

    app = web.Application()
    for path in ("/", "/health", "/ready"):
        app.router.add_get(path, answer)
    async with TestServer(app, host=host, port=port):
        yield


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine on Linux alone")
async def test_front_ends_are_found_by_a_name_and_come_and_go_with_its_addresses():
    """The file as it is shipped, to the letter."""
    hosts, port = ("127.0.0.2", "127.0.0.3"), free_port()
    async with (
        stand_in(hosts[0], port),
        stand_in(hosts[1], port),
        serving(*hosts) as names,
        started_balancer(
            [],
            text=CONFIGURATION.read_text(),
            environment={
                "BALANCER_FRONT_ENDS": f"front.internal:{port}",
                "BALANCER_NAMESERVER": names.at,
                "BALANCER_MOST": "4",
            },
        ) as balancer,
        aiohttp.ClientSession() as http,
    ):

        async def answering(wanted: set[str]) -> None:
            async with asyncio.timeout(FOUND_WITHIN_S):
                while True:
                    if {await page(http, balancer.url) for _ in range(4)} == wanted:
                        return
                    await asyncio.sleep(0.1)

        await answering(set(hosts))
        assert set(names.asked) == {"front.internal"}
        names.addresses = ["127.0.0.3"]
        await answering({"127.0.0.3"})
        names.addresses = list(hosts)
        await answering(set(hosts))


async def page(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        return await answer.text() if answer.status == 200 else ""
