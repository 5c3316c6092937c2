"""Keys for browsers: made by a server that has a real one, for a time, with settings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from openai import AsyncOpenAI
from openai.types.beta.realtime import SessionCreateResponse, TranscriptionSession
from openai.types.realtime import ClientSecretCreateResponse

from realtime import client_secrets
from realtime.ephemeral import EphemeralKeys, TooManyKeys
from realtime.errors import ProtocolError
from realtime.keyring import Key, digest_of
from realtime.metrics import Metrics
from realtime.server import EPHEMERAL, KEYRING, make_app
from realtime.session_config import SessionConfig
from tests.client import Client

KEY = "a-key-of-sixteen-and-more"
HEADERS = {"Authorization": f"Bearer {KEY}"}
SECRETS = "/v1/realtime/client_secrets"


@pytest.fixture
async def keyed(runtime, manners) -> AsyncIterator[TestServer]:
    config = SessionConfig(instructions="be kind")
    async with TestServer(make_app(runtime, Metrics(), config, manners, keys=(KEY,))) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http, server, path=SECRETS, body=None, headers=HEADERS) -> tuple[int, dict]:
    async with http.post(server.make_url(path), json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def opened(http, server, value: str, query: str = "") -> Client:
    protocols = ("realtime", f"openai-insecure-api-key.{value}")
    url = server.make_url(f"/v1/realtime{query}")
    client = Client(await http.ws_connect(url, protocols=protocols))
    await client.next()
    return client


def test_a_key_stands_for_its_settings_until_it_expires():
    keys, config = EphemeralKeys(), SessionConfig(instructions="x")
    key, grant = keys.mint(config, seconds=10, now=100)
    assert key.startswith("ek_")
    assert grant.expires_at == 110
    assert keys.find(key, now=109) == grant
    assert keys.find(key, now=110) is None
    assert keys.find("ek_other", now=100) is None


def test_what_is_kept_of_settings_is_bounded_bytes():
    """21,000 empty objects are 64 KiB as JSON, and megabytes in memory."""
    keys = EphemeralKeys()
    config = SessionConfig().updated({"tracing": [{}] * 15_000})
    key, _ = keys.mint(config, seconds=10, now=100)
    assert sum(len(kept.settings) for kept in keys._grants.values()) < 64 * 1024
    first, second = keys.find(key, now=101), keys.find(key, now=101)
    assert first is not None
    assert second is not None
    assert first.config == config
    assert first.config is not second.config, "a session may change its own"
    large = SessionConfig().updated({"tracing": [1e15] * 10_000})
    with pytest.raises(ProtocolError, match="at most 65536") as refused:
        keys.mint(large, seconds=10, now=100)
    assert (refused.value.code, refused.value.param) == ("too_large", "session")


def test_keys_are_bounded_and_places_are_free_again_when_one_expires():
    keys = EphemeralKeys(limit=2)
    keys.mint(SessionConfig(), seconds=10, now=100)
    kept, _ = keys.mint(SessionConfig(), seconds=60, now=100)
    with pytest.raises(TooManyKeys) as refused:
        keys.mint(SessionConfig(), seconds=10, now=105)
    assert refused.value.seconds == 5
    keys.mint(SessionConfig(), seconds=10, now=110)
    assert keys.find(kept, now=110)


async def test_the_settings_apply_to_every_socket_that_is_opened_with_the_key(keyed, http):
    session = {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "be brief",
        "audio": {"output": {"voice": "marin"}, "input": {"turn_detection": None}},
    }
    status, body = await post(http, keyed, body={"session": session, "sessions": 2})
    assert status == 200
    ClientSecretCreateResponse.model_validate(body, strict=True)
    assert body["session"]["instructions"] == "be brief"
    for _ in range(2):
        client = await opened(http, keyed, body["value"])
        told = client.events[0]["session"]
        assert (told["instructions"], told["model"]) == ("be brief", "gpt-realtime")
        assert told["audio"]["output"]["voice"] == "marin"
        assert told["audio"]["input"]["turn_detection"] is None
        assert told["id"] != body["session"]["id"]


async def test_without_a_body_it_is_the_servers_session_for_ten_minutes(keyed, http, monkeypatch):
    monkeypatch.setattr("realtime.client_secrets.time.time", lambda: 1_000.5)
    async with http.post(keyed.make_url(SECRETS), headers=HEADERS) as answer:
        body = await answer.json()
    assert body["expires_at"] == 1_600
    assert body["session"]["instructions"] == "be kind"


async def test_an_expired_key_opens_nothing(keyed, http):
    maker = digest_of(KEY)
    key, _ = keyed.app[EPHEMERAL].mint(SessionConfig(), seconds=10, now=1_000, parent=maker)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await opened(http, keyed, key)
    assert refused.value.status == 401


async def test_one_without_a_real_key_behind_it_opens_nothing_where_there_are_keys(keyed, http):
    for parent in (b"", digest_of("another-key-of-sixteen")):
        key, _ = keyed.app[EPHEMERAL].mint(
            SessionConfig(), seconds=60, now=int(time.time()), parent=parent
        )
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(http, keyed, key)
        assert refused.value.status == 401


@pytest.mark.parametrize("roles", [None, frozenset(["status"])])
@pytest.mark.parametrize("path", [SECRETS, "/v1/realtime/sessions"])
async def test_a_key_that_is_taken_away_while_the_body_comes_makes_none(
    keyed, http, monkeypatch, path, roles
):
    taken = client_secrets._body

    async def slow(request):
        body = await taken(request)
        left = [Key("other", digest_of("another-key-of-sixteen"))]
        if roles:
            left.append(Key("key-1", digest_of(KEY), roles))
        keyed.app[EPHEMERAL].forget(keyed.app[KEYRING].replace(left))
        return body

    monkeypatch.setattr(client_secrets, "_body", slow)
    status, body = await post(http, keyed, path)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert not keyed.app[EPHEMERAL]._grants


async def test_it_opens_sessions_and_nothing_else(keyed, http):
    _, body = await post(http, keyed)
    shown = {"Authorization": f"Bearer {body['value']}"}
    assert (await post(http, keyed, headers=shown))[0] == 401
    async with http.get(keyed.make_url("/status"), headers=shown) as answer:
        assert answer.status == 401
    async with http.ws_connect(keyed.make_url("/realtime"), headers=shown) as socket:
        assert (await socket.receive_json())["type"] == "session.created"


async def test_to_make_one_needs_a_real_key(keyed, http):
    for path in (SECRETS, "/v1/realtime/sessions", "/v1/realtime/transcription_sessions"):
        assert (await post(http, keyed, path, headers={}))[0] == 401


async def test_where_no_key_is_asked_for_the_settings_apply_all_the_same(server, http):
    _, body = await post(http, server, body={"session": {"instructions": "be brief"}}, headers={})
    client = await opened(http, server, body["value"])
    assert client.events[0]["session"]["instructions"] == "be brief"
    await opened(http, server, "ek_made-up-for-a-client-that-wants-one")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7_201}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": True}}, "expires_after.seconds"),
        ({"expires_after": 5}, "expires_after"),
        ({"session": []}, "session"),
        ({"session": {"instructions": 5}}, "session.instructions"),
        (
            {"session": {"audio": {"output": {"voice": "nobody"}}}},
            "session.audio.output.voice",
        ),
    ],
)
async def test_a_wrong_value_names_its_field(keyed, http, runtime, body, param):
    runtime.voice.voices = ("default", "anna")
    status, answer = await post(http, keyed, body=body)
    assert status == 400
    assert answer["error"]["param"] == param


@pytest.mark.parametrize(
    "data",
    [
        b'{"session":' * 5_000 + b"1" + b"}" * 5_000,
        b"nonsense",
        b"[1]",
        b"\xff",
        b'{"session":{"a":"%s"}}' % (b"x" * 70_000),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(keyed, http, data):
    async with http.post(keyed.make_url(SECRETS), data=data, headers=HEADERS) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] in ("invalid_json", "body_too_large")


async def test_too_many_are_refused_until_one_expires(keyed, http, monkeypatch):
    monkeypatch.setattr(keyed.app[EPHEMERAL], "_limit", 1)
    assert (await post(http, keyed))[0] == 200
    status, body = await post(http, keyed)
    assert (status, body["error"]["code"]) == (429, "too_many_client_secrets")


async def test_transcription(keyed, http):
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "mine"}}}}
    _, body = await post(http, keyed, body={"session": session})
    ClientSecretCreateResponse.model_validate(body, strict=True)
    client = await opened(http, keyed, body["value"], "?intent=transcription&model=other")
    told = client.events[0]["session"]
    assert told["type"] == "transcription"
    assert told["audio"]["input"]["transcription"] == {"model": "mine"}


async def test_betas_sessions_are_flat(keyed, http):
    body = {"model": "gpt-4o-realtime-preview", "voice": "alloy", "modalities": ["audio", "text"]}
    lifetime = {"client_secret": {"expires_after": {"anchor": "created_at", "seconds": 60}}}
    status, session = await post(http, keyed, "/v1/realtime/sessions", {**body, **lifetime})
    assert status == 200
    SessionCreateResponse.model_validate(session)
    assert (session["voice"], session["model"]) == ("alloy", "gpt-4o-realtime-preview")
    client = await opened(http, keyed, session["client_secret"]["value"])
    assert client.events[0]["session"]["audio"]["output"]["voice"] == "alloy"


async def test_a_wrong_value_of_betas_names_its_field(keyed, http, runtime):
    runtime.voice.voices = ("default", "anna")
    path = "/v1/realtime/sessions"
    for body, param in (
        ({"voice": "nobody"}, "session.audio.output.voice"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
    ):
        status, answer = await post(http, keyed, path, body)
        assert (status, answer["error"]["param"]) == (400, param)


async def test_betas_transcription_sessions_are_flat(keyed, http):
    body = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"}}
    _, session = await post(http, keyed, "/v1/realtime/transcription_sessions", body)
    TranscriptionSession.model_validate(session)
    assert session["input_audio_format"] == "g711_ulaw"
    client = await opened(http, keyed, session["client_secret"]["value"])
    assert client.events[0]["session"]["type"] == "transcription"


async def test_openais_client_makes_one(keyed):
    async with AsyncOpenAI(api_key=KEY, base_url=str(keyed.make_url("/v1"))) as client:
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 30},
            session={"type": "realtime", "instructions": "be brief"},
        )
    assert made.value.startswith("ek_")
    assert made.session.instructions == "be brief"


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/v1/realtime?model=gpt-realtime"])
async def test_webrtc_is_told_to_use_a_websocket(keyed, http, path):
    headers = {**HEADERS, "Content-Type": "application/sdp"}
    async with http.post(keyed.make_url(path), data=b"v=0", headers=headers) as answer:
        assert answer.status == 501
        assert "WebSocket" in (await answer.json())["error"]["message"]


async def test_there_are_no_calls_to_join(keyed, http):
    url = keyed.make_url("/v1/realtime?call_id=rtc_1")
    async with http.get(url, headers=HEADERS) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["param"] == "call_id"
