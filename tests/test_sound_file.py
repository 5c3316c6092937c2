"""Files of all kinds to 16 kHz mono, and strangers' files that are something else."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr

from realtime.audio import EAR_RATE_HZ
from realtime.engines.sound_file import BLOCK_S, SoundFile, read_sound
from realtime.errors import SoundRefused
from tests.sounds import CONTAINERS, recording, written


def decoded(data: bytes) -> np.ndarray:
    sound = SoundFile(io.BytesIO(data))
    sound.open()
    try:
        return np.concatenate(list(sound.blocks()))
    finally:
        sound.close()


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two sounds' levels in frames of 20 ms, at the best delay up to 0.1 s: what
    encoders put before the first sample."""
    return max(_likeness(a[160 * n :], b) for n in range(11))


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    frames = min(len(a), len(b)) // 320
    levels = [
        np.abs(x[: frames * 320].astype(float)).reshape(frames, 320).mean(axis=1) for x in (a, b)
    ]
    return float(np.corrcoef(*levels)[0, 1])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_usual_kind_is_read_and_sounds_as_it_did(kind, channels):
    audio, rate_hz = recording("ls_6930_0000")
    found = decoded(written(audio, rate_hz, kind, channels=channels))
    whole = (soxr.resample(audio / 32_768, rate_hz, EAR_RATE_HZ) * 32_767).astype(np.int16)
    assert len(found) == pytest.approx(len(whole), abs=EAR_RATE_HZ // 8)
    assert likeness(found, whole) > 0.9


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 96_000])
def test_any_rate_becomes_16_khz(rate_hz):
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz)).astype(np.int16)
    found = decoded(written(tone, rate_hz, "wav"))
    assert len(found) == pytest.approx(2 * EAR_RATE_HZ, abs=64)
    strongest = np.abs(np.fft.rfft(found[:EAR_RATE_HZ])).argmax()
    assert strongest == pytest.approx(440, abs=1)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n"
SESSION = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello " * 99,
        b"RIFF\xff\xff\xff\xffWAVE",
        PLAYLIST % b"http://127.0.0.1:9/a.mp3",
        SESSION,
    ],
)
def test_what_is_no_sound_is_refused(data):
    with pytest.raises(SoundRefused) as refused:
        decoded(data)
    assert refused.value.code == "unsupported_audio"


@pytest.mark.parametrize("listing", [PLAYLIST, b"ffconcat version 1.0\nfile %s\n"])
def test_a_file_that_names_another_does_not_open_it(tmp_path, listing):
    other = tmp_path / "secret.mp3"
    other.write_bytes(written(*recording("ls_6930_0000"), "mp3"))
    with pytest.raises(SoundRefused):
        decoded(listing % str(other).encode())


def test_what_is_cut_off_is_heard_as_far_as_it_goes():
    data = written(*recording("ls_6930_0000"), "mp3")
    whole = decoded(data)
    half = decoded(data[: len(data) // 2])
    assert 0.4 < len(half) / len(whole) < 0.6


def test_a_damaged_middle_does_not_end_it():
    data = bytearray(written(*recording("ls_6930_0000"), "mp3"))
    whole = decoded(bytes(data))
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    assert len(decoded(bytes(data))) > 0.6 * len(whole)


def test_a_head_that_could_not_know_the_end_claims_nothing():
    """Programs that write WAV to a pipe leave a length of 12 hours in its head."""
    data = bytearray(written(np.ones(24_000, np.int16), 24_000, "wav"))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0x7FFFFFFF)
    sound = SoundFile(io.BytesIO(bytes(data)))
    sound.open()
    assert sound.claimed_s is None or sound.claimed_s < 2
    assert sum(map(len, sound.blocks())) == pytest.approx(EAR_RATE_HZ, abs=64)
    sound.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1, thread_name_prefix="sound") as made:
        yield made


async def test_blocks_are_decoded_on_the_pool_when_they_are_asked_for(pool, monkeypatch):
    threads: list[str] = []
    blocks = SoundFile.blocks

    def watched(self):
        for block in blocks(self):
            threads.append(threading.current_thread().name)
            yield block

    monkeypatch.setattr(SoundFile, "blocks", watched)
    tone = np.full(int(3.5 * BLOCK_S) * 8_000, 100, np.int16)
    sound = read_sound(io.BytesIO(written(tone, 8_000, "wav")), pool, longest_s=60)
    first = await anext(sound)
    assert len(threads) == 1
    rest = [len(block) async for block in sound]
    assert len(rest) == 3
    assert len(first) + sum(rest) == pytest.approx(3.5 * BLOCK_S * EAR_RATE_HZ, abs=64)
    assert all(name.startswith("sound") for name in threads)


@pytest.mark.parametrize("claims", [True, False])
async def test_a_recording_that_is_too_long_is_refused(pool, monkeypatch, claims):
    if not claims:
        monkeypatch.setattr("realtime.engines.sound_file.LEAST_BITS_PER_S", 1e12)
    tone = np.full(60 * 8_000, 100, np.int16)
    heard = 0.0

    async def read():
        nonlocal heard
        async for block in read_sound(io.BytesIO(written(tone, 8_000, "wav")), pool, longest_s=30):
            heard += len(block) / EAR_RATE_HZ

    with pytest.raises(SoundRefused) as refused:
        await read()
    assert refused.value.code == "too_long"
    assert "0.5 minutes" in str(refused.value)
    assert (heard == 0) if claims else (0 < heard <= 30)


async def test_a_reader_that_is_cancelled_closes_the_file_after_the_block(pool, monkeypatch):
    begun, goes_on = threading.Event(), threading.Event()
    order: list[str] = []
    close = SoundFile.close

    def slow(self):
        begun.set()
        goes_on.wait(10)
        order.append("decoded")
        yield np.zeros(5, np.int16)

    def watched(self):
        order.append("closed")
        close(self)

    monkeypatch.setattr(SoundFile, "blocks", slow)
    monkeypatch.setattr(SoundFile, "close", watched)
    data = io.BytesIO(written(np.ones(8_000, np.int16), 8_000, "wav"))

    async def read():
        async for _ in read_sound(data, pool, longest_s=30):
            raise AssertionError("nothing is given to who left")

    reading = asyncio.create_task(read())
    await asyncio.to_thread(begun.wait, 10)
    reading.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert order == ["decoded", "closed"]
