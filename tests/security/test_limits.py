"""Places by key, by address, by key for a short time; and what waits for the engines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from realtime.admission import BUSY_S
from realtime.keyring import Key, Keyring, digest_of
from realtime.limits import Limits
from realtime.revoking import reread
from realtime.server import ADMISSION, CAPACITY, EPHEMERAL
from realtime.websocket import prepare
from tests.client import Client
from tests.security.conftest import KEYS, PROXIES, bearer, from_address
from tests.test_server import UPGRADE, until

SECRETS = "/v1/realtime/client_secrets"


OPEN: list[Client] = []
"""A socket that nobody refers to is closed by the garbage collector."""


@pytest.fixture(autouse=True)
async def all_go_home(http: aiohttp.ClientSession) -> AsyncIterator[None]:
    yield
    while OPEN:
        await OPEN.pop().socket.close()


async def opened(http, server, headers=None, protocols=()) -> Client:
    url = server.make_url("/v1/realtime")
    client = Client(await http.ws_connect(url, headers=headers, protocols=protocols))
    await client.until("session.created")
    OPEN.append(client)
    return client


async def refused(http, server, headers=None, protocols=()) -> tuple[int, str]:
    """The status, and the code in the body, of an upgrade that has to fail."""
    offered = {"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}
    sent = {**(headers or {}), **UPGRADE, **offered}
    async with http.get(server.make_url("/v1/realtime"), headers=sent) as answer:
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) >= 1
        return answer.status, (await answer.json())["error"]["code"]


def browser(value: str) -> tuple[str, str]:
    return "realtime", f"openai-insecure-api-key.{value}"


async def secret(http, server, name: str = "phone", **body: object) -> str:
    async with http.post(server.make_url(SECRETS), json=body, headers=bearer(name)) as answer:
        assert answer.status == 200
        return str((await answer.json())["value"])


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(
        [
            Key("phone", digest_of(KEYS["phone"]), max_sessions=2),
            Key("office", digest_of(KEYS["office"])),
        ]
    )


async def test_a_key_has_as_many_sessions_as_its_limit_says(keyed, http):
    clients = [await opened(http, keyed, bearer("phone")) for _ in range(2)]
    assert await refused(http, keyed, bearer("phone")) == (503, "key_sessions_reached")
    await opened(http, keyed, bearer("office"))
    await clients[0].socket.close()
    await until(lambda: keyed.app[ADMISSION].held()["phone"] == 1)
    await opened(http, keyed, bearer("phone"))


async def test_a_key_for_a_short_time_has_one_session_at_a_time_and_counts_for_its_maker(
    keyed, http
):
    value = await secret(http, keyed)
    client = await opened(http, keyed, protocols=browser(value))
    again = await refused(http, keyed, protocols=browser(value))
    assert again == (503, "client_secret_in_use")
    assert keyed.app[ADMISSION].held() == {"phone": 1}
    await client.socket.close()
    await until(lambda: keyed.app[ADMISSION].open == 0)
    await opened(http, keyed, protocols=browser(value))
    other = await secret(http, keyed)
    await opened(http, keyed, bearer("phone"))
    assert await refused(http, keyed, protocols=browser(other)) == (503, "key_sessions_reached")


async def test_a_key_that_is_taken_away_during_the_upgrade_opens_nothing(
    keyed, keyring, http, monkeypatch
):
    async def slow(socket, request) -> None:
        await prepare(socket, request)
        keyring.replace([])

    monkeypatch.setattr("realtime.server.prepare", slow)
    url = keyed.make_url("/v1/realtime")
    async with http.ws_connect(url, headers=bearer("phone")) as socket:
        closed = await socket.receive()
    assert closed.data == aiohttp.WSCloseCode.POLICY_VIOLATION
    await until(lambda: keyed.app[ADMISSION].open == 0)


async def test_it_may_be_made_for_more_and_for_no_nonsense(keyed, http):
    value = await secret(http, keyed, "office", sessions=2)
    for _ in range(2):
        await opened(http, keyed, protocols=browser(value))
    assert await refused(http, keyed, protocols=browser(value)) == (503, "client_secret_in_use")
    for sessions in (0, 101, True, "2", 1.5):
        url, body = keyed.make_url(SECRETS), {"sessions": sessions}
        async with http.post(url, json=body, headers=bearer("phone")) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["param"] == "sessions"


async def test_an_expired_one_and_one_of_another_server_open_nothing(keyed, http, monkeypatch):
    value = await secret(http, keyed, expires_after={"anchor": "created_at", "seconds": 10})
    monkeypatch.setattr("realtime.guard.time.time", lambda: 4e9)
    assert await refused(http, keyed, protocols=browser(value)) == (401, "invalid_api_key")
    monkeypatch.undo()
    assert (await refused(http, keyed, protocols=browser("ek_" + "0" * 48)))[0] == 401


async def test_it_opens_sessions_and_nothing_else(keyed, http):
    headers = {"Authorization": f"Bearer {await secret(http, keyed)}"}
    for method, path in (
        ("GET", "/status"),
        ("GET", "/v1/models"),
        ("POST", SECRETS),
        ("POST", "/v1/audio/speech"),
        ("DELETE", "/v1/audio/voices/some"),
        ("POST", "/v1/realtime"),
    ):
        async with http.request(method, keyed.make_url(path), headers=headers) as answer:
            assert answer.status == 401, path


async def test_one_key_takes_at_most_half_of_the_keys_for_a_short_time(keyed, http):
    keyed.app[EPHEMERAL]._limit = 4
    for _ in range(2):
        await secret(http, keyed)
    async with http.post(keyed.make_url(SECRETS), headers=bearer("phone")) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
    await secret(http, keyed, "office")


class TestByAddress:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(sessions_per_address=1, proxies=PROXIES)

    async def test_an_address_has_as_many_as_the_setting_says(self, keyed, http):
        one, other = from_address("203.0.113.5"), from_address("203.0.113.6")
        await opened(http, keyed, {**bearer("office"), **one})
        assert await refused(http, keyed, {**bearer("office"), **one}) == (
            503,
            "address_sessions_reached",
        )
        await opened(http, keyed, {**bearer("office"), **other})

    async def test_this_machine_is_not_counted(self, keyed, http):
        for _ in range(3):
            await opened(http, keyed, bearer("office"))

    async def test_a_header_of_somebody_who_is_no_proxy_is_not_believed(self, server, http):
        """That server trusts nobody: all of these come from this machine."""
        for _ in range(3):
            await opened(http, server, from_address("203.0.113.5"))


async def test_while_too_much_waits_nobody_new_is_let_in_and_who_is_in_stays(keyed, http, runtime):
    client = await opened(http, keyed, bearer("office"))
    runtime.queued_s = 61.0
    assert await refused(http, keyed, bearer("office")) == (503, "engines_busy")
    async with http.get(keyed.make_url("/ready")) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == str(BUSY_S)
        assert (await answer.json())["status"] == "busy"
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    runtime.queued_s = 60.0
    await opened(http, keyed, bearer("office"))


async def test_a_key_that_floods_leaves_others_their_share(keyed, http):
    keyed.app[ADMISSION].max_sessions = 4
    assert keyed.app[CAPACITY].sessions > 4
    clients = [await opened(http, keyed, bearer("office")) for _ in range(4)]
    assert await refused(http, keyed, bearer("phone")) == (503, "max_sessions_reached")
    await clients[0].socket.close()
    await until(lambda: keyed.app[ADMISSION].open == 3)
    assert await refused(http, keyed, bearer("office")) == (503, "fair_share_reached")
    await opened(http, keyed, bearer("phone"))


async def test_a_key_that_is_taken_away_ends_what_it_opened(keyed, http, tmp_path, caplog):
    file = tmp_path / "keys.toml"
    file.write_text(f'[[key]]\nname = "office"\nkey = "{KEYS["office"]}"\n')
    file.chmod(0o600)
    value = await secret(http, keyed)
    gone = [
        await opened(http, keyed, bearer("phone")),
        await opened(http, keyed, protocols=browser(value)),
    ]
    kept = await opened(http, keyed, bearer("office"))
    unused = await secret(http, keyed)
    assert reread(keyed.app, file, [])
    for client in gone:
        await client.next()
        assert client.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert (await refused(http, keyed, bearer("phone")))[0] == 401
    assert (await refused(http, keyed, protocols=browser(unused)))[0] == 401
    await kept.send("input_audio_buffer.clear")
    await kept.until("input_audio_buffer.cleared")
    await until(lambda: keyed.app[ADMISSION].open == 1)
    assert KEYS["phone"] not in caplog.text
    assert KEYS["office"] not in caplog.text


@pytest.mark.parametrize("text", ["", "[[key]", '[[key]]\nname = "a"\nkey = "short"'])
async def test_a_file_that_is_broken_changes_nothing_and_says_so(
    keyed, http, tmp_path, caplog, text
):
    file = tmp_path / "keys.toml"
    file.write_text(text)
    client = await opened(http, keyed, bearer("phone"))
    assert not reread(keyed.app, file, [])
    assert "the keys stay as they were" in caplog.text
    assert str(file) in caplog.text
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await opened(http, keyed, bearer("phone"))
