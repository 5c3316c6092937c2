"""The whole loop on real models, through the official OpenAI client: spoken to, and listened to."""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import numpy as np
import pytest
import soxr
from jiwer import wer
from openai import AsyncOpenAI
from whisper_normalizer.english import EnglishTextNormalizer

from realtime.engines import Utterance
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from tests.client import Client, clip, quiet, transcripts
from tests.test_wire_formats import FORMATS, spoken

normal = EnglishTextNormalizer()
CLIPS = ("ls_6930_0000", "lj001_0016", "vctk_p287_004_clean")
PAIR_CLIP = "vctk_p287_004_clean"
TIMEOUT_S = 60


async def converse(url: str, names: tuple[str, ...]) -> list[tuple[str, str, bytes]]:
    """Play clips as turns of one session; for each: what was heard, said, and the reply's audio."""
    client = AsyncOpenAI(api_key="none", base_url=f"{url}/v1", websocket_base_url=f"ws{url[4:]}/v1")
    found = []
    async with client.realtime.connect(model="banter") as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"transcription": {"model": "whisper-1"}}},
            }
        )
        for name in names:
            audio = quiet(0.3) + clip(name) + quiet(1)
            await connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
            heard, said, sound = "", "", b""
            async with asyncio.timeout(TIMEOUT_S):
                async for event in connection:
                    assert event.type != "error", event
                    if event.type == "conversation.item.input_audio_transcription.completed":
                        heard = event.transcript
                    elif event.type == "response.output_audio.delta":
                        sound += base64.b64decode(event.delta)
                    elif event.type == "response.output_audio_transcript.done":
                        said = event.transcript
                    elif event.type == "response.done":
                        assert event.response.status == "completed"
                        break
            found.append((heard, said, sound))
    await client.close()
    return found


async def read_back(models, turns: list[tuple[str, str, bytes]]) -> list[str]:
    """What Whisper hears in the replies' audio."""
    return await understood(
        models, [soxr.resample(np.frombuffer(s, "<i2"), 24_000, 16_000) for _, _, s in turns]
    )


async def understood(models, sounds: list[np.ndarray]) -> list[str]:
    whisper = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    whisper.load()
    whisper.start()
    heard = (whisper.transcribe(Utterance(s), owner=n) for n, s in enumerate(sounds))
    found = await asyncio.gather(*heard)
    await whisper.close()
    return [t.text for t in found]


@pytest.mark.pace
async def test_turns_are_heard_answered_and_spoken(server_url, models):
    turns = await converse(server_url, CLIPS)
    truth = transcripts()
    heard = [normal(h) for h, _, _ in turns]
    assert wer([normal(truth[name]) for name in CLIPS], heard) <= 0.12
    assert all(said for _, said, _ in turns)
    back = await read_back(models, turns)
    assert wer([normal(s) for _, s, _ in turns], [normal(b) for b in back]) <= 0.35


async def test_an_echo_is_what_was_heard(echo_url, models):
    turns = await converse(echo_url, CLIPS)
    for heard, said, sound in turns:
        assert said == heard
        assert len(sound) > 24_000
    back = await read_back(models, turns)
    assert wer([normal(h) for h, _, _ in turns], [normal(b) for b in back]) <= 0.25


@pytest.mark.pace
async def test_speech_over_a_real_reply_stops_it_and_is_answered(server_url):
    """A reply of a word may be over before the speech is confirmed: then the next round tries."""
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(f"{server_url}/v1/realtime", max_msg_size=0))
        await client.until("session.created")
        for _ in range(5):
            await client.say(quiet(0.3) + clip("jfk") + quiet(1))
            await client.until("response.output_audio.delta")
            await client.say(clip("ls_6930_0000") + quiet(1))
            first = await client.until("response.done")
            second = await client.until("response.done")
            assert second["response"]["status"] == "completed"
            if first["response"]["status"] == "cancelled":
                break
        assert first["response"]["status_details"]["reason"] == "turn_detected"
        await client.socket.close()


@pytest.mark.parametrize("given", FORMATS)
async def test_every_pair_of_formats_carries_a_real_clip_there_and_back(echo_url, models, given):
    """What comes in is understood, what goes out is understood, and no joint clicks."""
    shape, wire = FORMATS[given]
    sounds, said = [], []
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(f"{echo_url}/v1/realtime", max_msg_size=0))
        for wanted, out in FORMATS.values():
            client.events.clear()
            await client.send(
                "session.update",
                session={"audio": {"input": {"format": shape}, "output": {"format": wanted}}},
            )
            await client.say(spoken(wire, PAIR_CLIP))
            done = await client.until("response.done")
            said.append(done["response"]["output"][0]["content"][0]["transcript"])
            sound = out.decode(client.audio())
            sounds.append(soxr.resample(sound, out.rate_hz, 16_000))
            steps = np.abs(np.diff(sound.astype(np.int64)))
            assert steps.max() <= np.abs(sound.astype(np.int64)).max() * 1.5
        await client.socket.close()
    truth = normal(transcripts()[PAIR_CLIP])
    assert wer([truth] * len(said), [normal(s) for s in said]) <= 0.1
    back = await understood(models, sounds)
    assert wer([normal(s) for s in said], [normal(b) for b in back]) <= 0.2
