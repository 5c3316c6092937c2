"""The end of a session, told in seconds; and over a socket."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from realtime.lifetime import Lifetime, Over, Warned
from realtime.limits import Limits
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.server_events import SpeechStarted, SpeechStopped
from realtime.session_config import SessionConfig
from tests.client import Client, clip, quiet


def story(lifetime: Lifetime, until_s: float) -> list[tuple[float, str, int]]:
    """What a client is told, by asking when it says that one should."""
    told, now_s = [], lifetime.begun_s
    while (wait_s := lifetime.next_s(now_s)) is not None and now_s + wait_s <= until_s:
        now_s += wait_s
        due = lifetime.due(now_s)
        if due:
            told.append((now_s, due.reason, due.seconds if isinstance(due, Warned) else 0))
        if isinstance(due, Over):
            break
    return told


def test_a_warning_comes_before_the_end():
    assert story(Lifetime(0.0, 3_600.0, 0.0), 1e6) == [
        (3_540.0, "expired", 60),
        (3_600.0, "expired", 0),
    ]


def test_a_session_in_which_nothing_happens_ends_sooner():
    assert story(Lifetime(10.0, 3_600.0, 900.0), 1e6) == [(850.0, "idle", 60), (910.0, "idle", 0)]


def test_whoever_speaks_or_asks_stays_and_is_warned_again():
    lifetime = Lifetime(0.0, 0.0, 100.0)
    assert isinstance(lifetime.due(75.0), Warned)
    assert lifetime.due(76.0) is None
    lifetime.sent(SpeechStarted(audio_start_ms=0, item_id="x"), 80.0)
    assert lifetime.due(101.0) is None
    lifetime.sent(SpeechStopped(audio_end_ms=0, item_id="x"), 110.0)
    assert lifetime.due(184.0) is None
    assert isinstance(lifetime.due(185.0), Warned)
    assert isinstance(lifetime.due(210.0), Over)


def test_without_limits_nothing_ends_a_session():
    lifetime = Lifetime(0.0, 0.0, 0.0)
    assert lifetime.next_s(1e9) is None
    assert lifetime.due(1e9) is None


@pytest.mark.parametrize(
    ("limits", "reason", "code"),
    [
        (Limits(session_s=0.6), "expired", aiohttp.WSCloseCode.GOING_AWAY),
        (Limits(idle_s=0.6), "idle", aiohttp.WSCloseCode.POLICY_VIOLATION),
    ],
)
@pytest.mark.parametrize("query", ["", "?audio=binary"])
async def test_a_session_is_warned_told_and_closed(runtime, manners, limits, reason, code, query):
    """A strict client gets the `error` alone, the page the warning too."""
    async with serving(runtime, manners, limits) as server, aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(server.make_url(f"/v1/realtime{query}")))
        if query:
            await client.socket.send_bytes(quiet(0.2))  # silence keeps nobody in
        while not client.closed:
            await client.next()
    warnings = client.of("banter.session.warning")
    assert [each["reason"] for each in warnings] == ([reason] if query else [])
    assert client.events[-1]["error"]["code"] == f"session_{reason}"
    assert client.close_code == code


async def test_who_speaks_or_asks_is_not_idle(runtime, manners, monkeypatch):
    active: list[float] = []
    monkeypatch.setattr(Lifetime, "active", lambda lifetime, now_s: active.append(now_s))
    async with serving(runtime, manners, Limits()) as server, aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(server.make_url("/v1/realtime")))
        await client.say(quiet(0.2))
        await client.send("nonsense")
        await client.until("error")
        assert active == []
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        assert len(active) == 1
        await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
        await client.until("response.done")
        assert len(active) == 3  # speech has begun and ended
        await client.socket.close()


async def test_who_is_warned_and_asks_stays(runtime, manners):
    limits = Limits(idle_s=2.0)
    async with serving(runtime, manners, limits) as server, aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(server.make_url("/v1/realtime?audio=binary")))
        for _ in range(2):
            await client.until("banter.session.warning")
            await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.socket.close()


def serving(runtime, manners, limits: Limits) -> TestServer:
    return TestServer(make_app(runtime, Metrics(), SessionConfig(), manners, limits=limits))


async def test_the_end_is_told_at_the_beginning(runtime, manners, monkeypatch):
    monkeypatch.setattr("realtime.session.time.time", lambda: 1_000.0)
    limits = Limits(session_s=120.0)
    async with serving(runtime, manners, limits) as server, aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(server.make_url("/v1/realtime")))
        created = await client.until("session.created")
        assert created["session"]["expires_at"] == 1_120
        await client.socket.close()
