"""Sessions whose language model is an endpoint: real, and failing in every way."""

from __future__ import annotations

import asyncio
import secrets

import aiohttp
import pytest
import xllamacpp
from aiohttp.test_utils import TestServer, unused_port

from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.openai_chat import OpenAIReplier
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from realtime.playout import Pacing
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.client import Client, clip, quiet
from tests.fakes import FakeRuntime
from tests.invariants import check_events
from tests.llm_endpoint import Endpoint, cut, finish, hang_up, nothing, status, stream, stuck, words

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
FALLBACK = "Sorry, not now."
HALF = words("This is what I wanted to say. And then")

FAILURES = {
    "stuck before the first word": (stream(stuck), FALLBACK),
    "taken and never answered": (nothing, FALLBACK),
    "cut before the answer": (hang_up, FALLBACK),
    "429": (status(429, {"error": {"message": "slow down"}}), FALLBACK),
    "500": (status(500, {"error": {"message": "broken"}}), FALLBACK),
    "a page instead of an answer": (status(200, "<html>hello</html>"), FALLBACK),
    "garbage in the stream": (stream(b"data: {nonsense\n\n"), FALLBACK),
    "stuck in the middle": (stream(HALF, stuck), "This is what I wanted to say."),
    "cut in the middle": (stream(HALF, cut), "This is what I wanted to say."),
}


@pytest.fixture
def manners():
    return Manners(pacing=None, fallback=FALLBACK)


@pytest.fixture
async def endpoint():
    async with Endpoint().serve() as served:
        yield served


@pytest.fixture
async def runtime(detector, endpoint):
    replier = OpenAIReplier(
        base_url=endpoint.url,
        api_key="key",
        model="m",
        first_token_timeout_s=0.3,
        stall_timeout_s=0.3,
    )
    replier.load()
    yield FakeRuntime(detector, replier=replier)  # type: ignore[arg-type]
    await replier.close()


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_caller_hears_something_and_the_session_lives(
    connect, runtime, endpoint, failure
):
    answer, heard = FAILURES[failure]
    endpoint.script = [answer]
    client = await connect()
    await client.say(TURN)
    await client.until("response.done")
    assert runtime.voice.pieces[0] == heard
    assert client.audio()
    endpoint.script = [stream(words("All is well."), finish())]
    await client.say(TURN)
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert runtime.voice.pieces[-1] == "All is well."
    check_events(client.events)


async def test_an_endpoint_that_is_down_is_heard_too(connect, runtime, endpoint, detector):
    gone = OpenAIReplier(base_url=f"http://127.0.0.1:{unused_port()}/v1", api_key="k", model="m")
    gone.load()
    runtime.replier = gone
    client = await connect()
    await client.say(TURN)
    await client.until("response.done")
    assert runtime.voice.pieces == [FALLBACK]
    await gone.close()


async def test_speech_over_a_reply_closes_the_connection(connect, runtime, endpoint):
    endpoint.script = [stream(words("Now listen to me carefully. "), stuck)]
    client = await connect()
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    await client.say(TURN)
    await client.until("response.done")
    await asyncio.wait_for(endpoint.hung_up.wait(), 5)


@pytest.fixture
def llama(models):
    """A real llama.cpp server on a loopback port, with a key."""
    params = xllamacpp.CommonParams()
    params.model.path = str(models["llm"])
    params.n_ctx, params.n_parallel, params.n_batch = 4_096, 2, 128
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads, cpu.poll = 2, 0
    params.hostnames, params.port = ["127.0.0.1"], unused_port()
    key = secrets.token_hex(8)
    params.api_keys, params.verbosity, params.ui = [key], 0, False
    server = xllamacpp.Server(params)
    yield f"http://127.0.0.1:{params.port}/v1", key
    del server


@pytest.mark.pace
async def test_thirty_turns_with_interruptions_on_real_models(models, detector, llama):
    """Real ears, recogniser, language model and voice; every third reply is talked over."""
    url, key = llama
    whisper = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    voice = EmbeddedVoice(metrics=Metrics())
    replier = OpenAIReplier(
        base_url=url, api_key=key, model="m", context_tokens=2_000, reply_tokens=32
    )
    for engine in (whisper, voice, replier):
        engine.load()
    whisper.start()
    voice.start()
    runtime = FakeRuntime(detector, whisper, replier, voice)  # type: ignore[arg-type]
    manners = Manners(pacing=Pacing(at_once_s=30, ahead_s=30), fallback=FALLBACK)
    app = make_app(
        runtime, Metrics(), SessionConfig(instructions="Reply in one sentence."), manners
    )
    names = ("ls_6930_0000", "vctk_p287_004_clean", "lj001_0016")
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        before = len(asyncio.all_tasks())
        client = Client(await http.ws_connect(server.make_url("/v1/realtime"), max_msg_size=0))
        await client.until("session.created")
        interrupted, running = 0, False
        for n in range(30):
            await client.say(quiet(0.3) + clip(names[n % 3]) + quiet(1))
            if running:
                first = await client.until("response.done")
                interrupted += first["response"]["status"] == "cancelled"
            running = n % 3 == 2
            wanted = ("response.output_audio.delta",) if running else ()
            event = await client.until("response.done", *wanted)
            running = event["type"] != "response.done"
            check_events([*client.events, *_still_open(client)])
        await client.socket.close()
        for _ in range(100):
            if len(asyncio.all_tasks()) <= before:
                break
            await asyncio.sleep(0.02)
        assert len(asyncio.all_tasks()) <= before
    assert interrupted >= 3
    check_events([*client.events, *_still_open(client)])
    for engine in (whisper, voice, replier):
        await engine.close()


def _still_open(client: Client) -> list[dict]:
    """A `response.done` for a response that is running now, so that it can be checked."""
    ended = {e["response"]["id"] for e in client.of("response.done")}
    return [
        {
            "event_id": f"open_{e['response']['id']}",
            "type": "response.done",
            "response": {"id": e["response"]["id"], "status": "cancelled", "output": []},
        }
        for e in client.of("response.created")
        if e["response"]["id"] not in ended
    ]
