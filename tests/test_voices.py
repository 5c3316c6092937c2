"""`/v1/audio/voices`: who may, what is taken, and how it is refused. The store is a stand-in."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from openai import APIStatusError, AsyncOpenAI, BadRequestError

from realtime import voices
from realtime.engines import KnownVoice
from realtime.errors import VoiceRefused
from realtime.guard import guard
from realtime.keyring import Keyring, keys_of
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.voices import MAX_CLIP_BYTES, PATH, VoiceRoutes

KEY = "a-key-of-sixteen-and-more"
SHOWN = {"Authorization": f"Bearer {KEY}"}


@dataclass
class FakeStore:
    """Keeps what it is given; refuses with `refusal` where one is set."""

    kept: dict[str, bytes] = field(default_factory=dict)
    consent: str = ""
    refusal: Exception | None = None
    gate: asyncio.Event | None = None

    def describe(self):
        return [KnownVoice("default"), *(KnownVoice(name, 7, 9.5) for name in self.kept)]

    async def add(self, name, clip, *, consent=""):
        if self.gate:
            await self.gate.wait()
        if self.refusal:
            raise self.refusal
        self.kept[name], self.consent = clip, consent
        return KnownVoice(name, 7, 9.5)

    async def remove(self, name):
        if name not in self.kept:
            raise VoiceRefused(f"there is no voice {name!r}", code="voice_not_found")
        del self.kept[name]


async def serve(store, keys=(KEY,)) -> TestServer:
    app = web.Application(middlewares=[guard(Keyring(keys_of(keys)))])
    app.router.add_routes(VoiceRoutes(store, keyed=bool(keys)).routes())
    server = TestServer(app)
    await server.start_server()
    return server


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
async def url(store) -> AsyncIterator[str]:
    server = await serve(store)
    yield str(server.make_url(PATH))
    await server.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=SHOWN) as session:
        yield session


def form(
    name: str | None = "ann", clip: bytes | None = b"sound", **fields: str
) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    if name is not None:
        made.add_field("name", name)
    for key, value in fields.items():
        made.add_field(key, value)
    if clip is not None:
        file = io.BytesIO(clip)
        made.add_field("audio_sample", file, filename="clip.wav", content_type="audio/wav")
    return made


async def error_of(answer: aiohttp.ClientResponse) -> dict[str, str]:
    error = (await answer.json())["error"]
    assert set(error) == {"type", "code", "message", "param"}
    return error


async def test_a_voice_is_added_listed_and_removed(url, http, store):
    async with http.post(url, data=form(consent="mine, said Ann")) as answer:
        assert answer.status == 200
        ann = {"id": "ann", "object": "audio.voice", "name": "ann", "created_at": 7, "seconds": 9.5}
        assert await answer.json() == ann
    assert (store.kept, store.consent) == ({"ann": b"sound"}, "mine, said Ann")
    async with http.get(url) as answer:
        body = await answer.json()
        assert body["object"] == "list"
        assert [voice["id"] for voice in body["data"]] == ["default", "ann"]
        assert body["can_add"] is True
    async with http.delete(f"{url}/ann") as answer:
        assert await answer.json() == {
            "id": "ann",
            "object": "audio.voice.deleted",
            "deleted": True,
        }
    assert store.kept == {}
    async with http.delete(f"{url}/ann") as answer:
        assert answer.status == 404
        assert (await error_of(answer))["code"] == "voice_not_found"


async def test_openai_s_own_client_can_do_it(url, store):
    """Through its generic methods: it sends forms and reads errors as for every other call."""
    async with AsyncOpenAI(api_key=KEY, base_url=url.removesuffix("/audio/voices")) as client:
        made = await client.post(
            "/audio/voices",
            cast_to=dict,
            body={"name": "ann"},
            files={"audio_sample": ("a.wav", b"sound", "audio/wav")},
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        assert made["id"] == "ann"
        store.refusal = VoiceRefused("there is a voice 'ann' already", code="voice_exists")
        with pytest.raises(APIStatusError, match="there is a voice 'ann'") as refused:
            await client.post(
                "/audio/voices",
                cast_to=dict,
                body={"name": "ann"},
                files={"audio_sample": ("a.wav", b"sound", "audio/wav")},
                options={"headers": {"Content-Type": "multipart/form-data"}},
            )
        assert refused.value.code == "voice_exists"
        with pytest.raises(BadRequestError, match="no field name"):
            await client.post(
                "/audio/voices",
                cast_to=dict,
                files={"audio_sample": ("a.wav", b"sound", "audio/wav")},
                options={"headers": {"Content-Type": "multipart/form-data"}},
            )


async def test_without_keys_voices_are_listed_and_nothing_else(store, http):
    server = await serve(store, keys=())
    url = server.make_url(PATH)
    async with http.get(url) as answer:
        assert answer.status == 200
        assert (await answer.json())["can_add"] is False
    for asked in (http.post(url, data=form()), http.delete(f"{url}/ann")):
        async with asked as answer:
            assert answer.status == 403
            error = await error_of(answer)
            assert error["code"] == "keys_not_set"
            assert "BANTER_API_KEYS" in error["message"]
    assert store.kept == {}
    await server.close()


async def test_nobody_without_the_key_even_lists_them(url, store):
    async with aiohttp.ClientSession() as stranger:
        for asked in (
            stranger.get(url),
            stranger.post(url, data=form()),
            stranger.delete(f"{url}/ann"),
        ):
            async with asked as answer:
                assert answer.status == 401
    assert store.kept == {}


async def test_a_voice_that_cannot_be_given_others_says_so(http):
    server = await serve(None)
    url = server.make_url(PATH)
    async with http.get(url) as answer:
        assert [voice["id"] for voice in (await answer.json())["data"]] == ["default"]
    for asked in (http.post(url, data=form()), http.delete(f"{url}/ann")):
        async with asked as answer:
            assert answer.status == 400
            assert "--voice chatterbox" in (await error_of(answer))["message"]
    await server.close()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid_name", 400),
        ("voice_protected", 403),
        ("voice_exists", 409),
        ("too_many_voices", 409),
        ("unsupported_audio", 415),
        ("unsuitable_clip", 422),
        ("busy", 429),
        ("storage_failed", 500),
    ],
)
async def test_a_refusal_has_its_status_and_its_reason(url, http, store, code, status):
    store.refusal = VoiceRefused("because", code=code)
    async with http.post(url, data=form()) as answer:
        assert answer.status == status
        assert "Retry-After" in answer.headers if code == "busy" else True
        error = await error_of(answer)
        assert (error["code"], error["message"]) == (code, "because")


async def test_a_bug_does_not_tell_its_story(url, http, store):
    store.refusal = RuntimeError("a secret of the server")
    async with http.post(url, data=form()) as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()


@pytest.mark.parametrize(
    ("data", "status", "param"),
    [
        (form(name=None), 400, "name"),
        (form(clip=None, more="than nothing"), 400, "audio_sample"),
        (form(clip=b""), 400, "audio_sample"),
        (form(name="x" * 5_000), 413, None),
        (form(**{f"field{n}": "x" for n in range(20)}), 400, None),
        (b"sound", 415, None),
    ],
    ids=["no name", "no clip", "empty clip", "a long name", "many fields", "no form"],
)
async def test_a_form_that_is_none(url, http, store, data, status, param):
    async with http.post(url, data=data) as answer:
        assert answer.status == status
        assert (await error_of(answer))["param"] == param
    assert store.kept == {}


async def test_a_form_without_an_end(url, http, store):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="audio_sample"\r\n\r\nsound'
    async with http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 400
    async with http.post(url, data=b"", headers={"Content-Type": "multipart/form-data"}) as answer:
        assert answer.status == 400
    broken = b"--x\r\nContent-Disposition form-data\r\n\r\nsound\r\n--x--\r\n"
    async with http.post(url, data=broken, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "invalid_form"
    assert store.kept == {}


async def test_ten_megabytes_and_no_more_whether_announced_or_not(url, http, store):
    async with http.post(url, data=form(clip=bytes(MAX_CLIP_BYTES))) as answer:
        assert answer.status == 200
    store.kept.clear()
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    sent = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="audio_sample"\r\n\r\n'
        while sent < 40 * 2**20:
            sent += 2**16
            yield bytes(2**16)

    for asked in (
        http.post(url, data=form(clip=bytes(MAX_CLIP_BYTES + 2**20))),
        http.post(url, data=without_end(), headers=boundary),
    ):
        try:
            async with asked as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the server may hang up before it has all, and the answer is lost then
    assert store.kept == {}
    assert sent < 40 * 2**20


async def test_slow_uploads_are_ended_and_only_a_few_run_at_once(url, http, store, monkeypatch):
    store.gate = asyncio.Event()
    asked = [asyncio.create_task(http.post(url, data=form(name=f"v{n}"))) for n in range(6)]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert [task.result().status for task in done] == [429, 429]
    store.gate.set()
    assert sorted(task.result().status for task in (await asyncio.wait(waiting))[0]) == [200] * 4
    monkeypatch.setattr(voices, "UPLOAD_TIMEOUT_S", 0.1)

    async def stalling() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nann'
        await asyncio.sleep(60)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with http.post(url, data=stalling(), headers=headers) as answer:
        assert answer.status == 408


async def test_the_server_has_these_routes(runtime, http, store):
    runtime.voice.store = store
    app = make_app(runtime, Metrics(), SessionConfig(), Manners(pacing=None), keys=(KEY,))
    async with TestServer(app) as server:
        async with http.post(server.make_url(PATH), data=form()) as answer:
            assert answer.status == 200
        async with http.get(server.make_url(PATH)) as answer:
            assert [voice["id"] for voice in (await answer.json())["data"]] == ["default", "ann"]
