"""Every format both ways over a real socket, with real ears and a real clip."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import soundfile
import soxr

from realtime.formats import Format
from tests.client import DATA, quiet

FORMATS = {
    "pcm 8": ({"type": "audio/pcm", "rate": 8_000}, Format("pcm", 8_000)),
    "pcm 16": ({"type": "audio/pcm", "rate": 16_000}, Format("pcm", 16_000)),
    "pcm 24": ({"type": "audio/pcm", "rate": 24_000}, Format("pcm", 24_000)),
    "pcm 48": ({"type": "audio/pcm", "rate": 48_000}, Format("pcm", 48_000)),
    "u-law": ({"type": "audio/pcmu"}, Format("pcmu", 8_000)),
    "a-law": ({"type": "audio/pcma"}, Format("pcma", 8_000)),
}


def spoken(wire: Format, name: str = "ls_6930_0000") -> bytes:
    """A clip between silences, in a wire format."""
    audio, rate = soundfile.read(DATA / f"{name}.flac", dtype="int16")
    whole = np.concatenate([np.zeros(rate // 3, np.int16), audio, np.zeros(rate, np.int16)])
    return wire.encode(soxr.resample(whole, rate, wire.rate_hz))


@pytest.mark.parametrize("name", FORMATS)
async def test_a_turn_in_every_format(connect, runtime, name):
    shape, wire = FORMATS[name]
    client = await connect()
    await client.send(
        "session.update",
        session={"audio": {"input": {"format": shape}, "output": {"format": shape}}},
    )
    echoed = (await client.until("session.updated"))["session"]["audio"]
    assert echoed["input"]["format"] == shape == echoed["output"]["format"]
    data = spoken(wire)
    for start in range(0, len(data), 1_001):
        await client.say(data[start : start + 1_001])
    done = await client.until("response.done")
    assert done["response"]["audio"]["output"]["format"] == shape
    sound = wire.decode(client.audio())
    assert len(sound) == pytest.approx(1.5 * wire.rate_hz, abs=2)
    steady = sound[wire.rate_hz // 20 : -wire.rate_hz // 20].astype(int)
    assert abs(np.diff(steady)).max() <= 40  # a constant tone: a joint that clicks would show
    heard = runtime.transcriber.heard[0]
    assert 3.0 <= len(heard) / 16_000 <= 4.6
    assert np.abs(heard.astype(int)).max() > 3_000


async def test_a_format_may_change_in_mid_turn(connect, runtime):
    client = await connect()
    await client.say(spoken(FORMATS["pcm 24"][1]))
    await client.until("response.done")
    client.events.clear()
    first, second = FORMATS["pcm 24"][1], FORMATS["pcm 16"][1]
    half = 12_000 * 4
    await client.say(spoken(first)[: half * 2])
    await client.until("input_audio_buffer.speech_started")
    await client.send(
        "session.update",
        session={"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}},
    )
    await client.until("session.updated")
    await client.say(spoken(second)[64_000:])
    await client.until("response.done")
    assert len(client.of("input_audio_buffer.speech_started")) == 1
    alone, changed = (len(h) / 16_000 for h in runtime.transcriber.heard)
    assert changed == pytest.approx(alone, abs=0.1)


async def test_turning_detection_off_and_on_in_mid_speech_loses_nothing(connect, runtime):
    client = await connect()
    data = spoken(FORMATS["pcm 24"][1])
    third = len(data) // 6 * 2
    for part, detection in enumerate((None, {"type": "server_vad"}, None)):
        await client.say(data[part * third : (part + 1) * third])
        await client.send(
            "session.update", session={"audio": {"input": {"turn_detection": detection}}}
        )
        await client.until("session.updated")
    await client.send("input_audio_buffer.commit")
    await client.until("conversation.item.input_audio_transcription.completed")
    heard = sum(len(h) for h in runtime.transcriber.heard) / 16_000
    assert heard >= len(data) / 48_000 - 1.8


async def test_a_commit_hears_the_last_sample_and_a_clear_leaves_none(connect, runtime):
    client = await connect()
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    tone = (np.sin(np.arange(24_000) * 0.3) * 9_000).astype("<i2").tobytes()
    await client.say(tone)
    await client.send("input_audio_buffer.commit")
    await client.say(tone)
    await client.send("input_audio_buffer.clear")
    await client.say(quiet(0.5))
    await client.send("input_audio_buffer.commit")
    for _ in range(2):
        await client.until("conversation.item.input_audio_transcription.completed")
    first, second = runtime.transcriber.heard
    assert len(first) == 16_000
    assert len(second) == 8_000
    assert np.abs(second).max() < 100


async def test_audio_is_base64_of_whole_samples(connect):
    client = await connect()
    await client.say(spoken(FORMATS["pcm 24"][1]))
    await client.until("response.done")
    for event in client.of("response.output_audio.delta"):
        assert len(base64.b64decode(event["delta"])) % 2 == 0
