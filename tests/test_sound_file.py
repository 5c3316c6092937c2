"""Files of all kinds to 16 kHz mono, and strangers' files that are something else."""

from __future__ import annotations

import asyncio
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soxr

from realtime.audio import EAR_RATE_HZ
from realtime.engines import sound_decoder, sound_file
from realtime.engines.sound_encoder import SoundEncoder
from realtime.engines.sound_file import BLOCK_S, ConfinedSound, HereSound, open_sound, read_sound
from realtime.errors import SoundRefused
from tests.bombs import adts, constant_flac, mp4_of_samples
from tests.sounds import CONTAINERS, recording, written


@contextmanager
def on_disk(data: bytes) -> Iterator[IO[bytes]]:
    """A file as uploads are."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        yield file


@pytest.fixture
def laid() -> Iterator[Callable[[bytes], IO[bytes]]]:
    """`on_disk`, until the end of the test."""
    with ExitStack() as stack:
        yield lambda data: stack.enter_context(on_disk(data))


def decoded(data: bytes) -> np.ndarray:
    with on_disk(data) as file:
        sound = open_sound(file)
        try:
            sound.open()
            return np.concatenate(list(sound.blocks()))
        finally:
            sound.close()


def refused(data: bytes) -> str:
    with pytest.raises(SoundRefused) as raised:
        decoded(data)
    assert raised.value.code == "unsupported_audio"
    return str(raised.value)


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


@pytest.fixture(params=[True, False])
def anywhere(request, monkeypatch) -> None:
    """In a process of its own, and in this one."""
    monkeypatch.setattr(sound_file, "CONFINED", request.param)


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
    assert len(decoded(bytes(data))) == pytest.approx(EAR_RATE_HZ, abs=64)


STUCK = Path(__file__).parent / "data" / "stuck_decoder.py"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1, thread_name_prefix="sound") as made:
        yield made


async def test_blocks_are_waited_for_on_the_pool_when_they_are_asked_for(laid, pool, monkeypatch):
    threads: list[str] = []
    blocks = ConfinedSound.blocks

    def watched(self: ConfinedSound) -> Iterator[np.ndarray]:
        for block in blocks(self):
            threads.append(threading.current_thread().name)
            yield block

    monkeypatch.setattr(ConfinedSound, "blocks", watched)
    tone = np.full(int(3.5 * BLOCK_S) * 8_000, 100, np.int16)
    sound = read_sound(laid(written(tone, 8_000, "wav")), pool, longest_s=60)
    first = await anext(sound)
    assert len(threads) == 1
    rest = [len(block) async for block in sound]
    assert len(rest) == 3
    assert len(first) + sum(rest) == pytest.approx(3.5 * BLOCK_S * EAR_RATE_HZ, abs=64)
    assert all(name.startswith("sound") for name in threads)


@pytest.mark.parametrize("claims", [True, False])
async def test_a_recording_that_is_too_long_is_refused(laid, pool, monkeypatch, claims, anywhere):
    if not claims:
        monkeypatch.setattr("realtime.engines.sound_file.LEAST_BITS_PER_S", 1e12)
    tone = np.full(60 * 8_000, 100, np.int16)
    heard = 0.0

    async def read():
        nonlocal heard
        async for block in read_sound(laid(written(tone, 8_000, "wav")), pool, longest_s=30):
            heard += len(block) / EAR_RATE_HZ

    with pytest.raises(SoundRefused) as refused:
        await read()
    assert refused.value.code == "too_long"
    assert "0.5 minutes" in str(refused.value)
    assert (heard == 0) if claims else (0 < heard <= 30)


async def test_a_reader_that_is_cancelled_ends_the_decoder_at_once(laid, pool, monkeypatch):
    """It is in the middle of a file of which no more would come for a long time."""
    monkeypatch.setattr(sound_decoder, "__file__", str(STUCK))
    made: list[ConfinedSound] = []

    def noted(file: IO[bytes]) -> ConfinedSound:
        made.append(ConfinedSound(file))
        return made[0]

    monkeypatch.setattr(sound_file, "open_sound", noted)
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in read_sound(laid(b"some"), pool, longest_s=30):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    async with asyncio.timeout(sound_file.SILENT_S / 2):
        with pytest.raises(asyncio.CancelledError):
            await reading
    process = made[0]._process
    assert process is not None
    assert process.returncode == -9
    assert process.stdout is not None
    assert process.stdout.closed


async def test_a_decoder_that_falls_silent_is_killed_and_the_file_refused(laid, pool, monkeypatch):
    monkeypatch.setattr(sound_decoder, "__file__", str(STUCK))
    monkeypatch.setattr(sound_file, "SILENT_S", 1.0)
    sound = read_sound(laid(b"some"), pool, longest_s=30)
    assert len(await anext(sound)) == 160
    with pytest.raises(SoundRefused, match="nothing for 1 s"):
        await anext(sound)


@pytest.mark.parametrize("script", ["", "import os; os.abort()"])
async def test_a_decoder_that_breaks_is_a_file_that_is_refused(
    laid, pool, monkeypatch, tmp_path, script
):
    broken = tmp_path / "broken.py"
    broken.write_text(script)
    monkeypatch.setattr(sound_decoder, "__file__", str(broken))
    with pytest.raises(SoundRefused, match="failed"):
        await anext(read_sound(laid(b"some"), pool, longest_s=30))


def test_a_decoder_sees_no_keys(laid, monkeypatch, tmp_path):
    told = tmp_path / "told"
    script = tmp_path / "tells.py"
    script.write_text(
        f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(str(os.environ))"
    )
    monkeypatch.setattr(sound_decoder, "__file__", str(script))
    monkeypatch.setenv("BANTER_API_KEYS", "secret-of-sixteen-chars")
    sound = ConfinedSound(laid(b""))
    with pytest.raises(SoundRefused):
        sound.open()
    sound.close()
    assert "PATH" in told.read_text()
    assert "secret" not in told.read_text()


@pytest.mark.parametrize(("rate_hz", "channels"), [(1, 1), (3_999, 1), (900_000, 2)])
def test_an_absurd_rate_is_refused(rate_hz, channels, anywhere):
    """At one sample a second, 70 bytes are 18 hours."""
    assert f"{rate_hz} samples a second" in refused(constant_flac(rate_hz, channels=channels))


def test_a_slow_but_possible_rate_is_read():
    assert len(decoded(constant_flac(4_000))) == pytest.approx(65_535 * 4, abs=64)


def test_a_head_that_claims_tables_of_gigabytes_is_refused_within_the_bound():
    """600 bytes, of which FFmpeg makes 1.5 GiB as it opens them."""
    assert refused(mp4_of_samples(40_000_000))


def test_the_bound_on_memory_is_one(monkeypatch, tmp_path):
    script = tmp_path / "greedy.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {os.path.dirname(sound_decoder.__file__)!r})\n"
        "import sound_decoder\n"
        "sound_decoder.Decoder.open = lambda self: bytearray(sound_decoder.MEMORY_MIB << 20)\n"
        "sound_decoder.main()\n"
    )
    monkeypatch.setattr(sound_decoder, "__file__", str(script))
    assert "768 MiB" in refused(b"some")


def test_packets_without_end_that_hold_no_sound_are_refused(anywhere):
    encoder = SoundEncoder("aac")
    good = encoder.push(recording("ls_6930_0000")[0]) + encoder.finish()
    bad = sound_decoder.MOST_SILENT_PACKETS + 2
    assert "in a row" in refused(good + adts(b"\x60", rate=6) * bad)
    few = decoded(good + adts(b"\x60", rate=6) * 100 + good)
    assert len(few) > 1.9 * len(decoded(good))


def test_in_this_process_a_file_need_not_lie_on_the_disk(laid, monkeypatch):
    monkeypatch.setattr(sound_file, "CONFINED", False)
    sound = open_sound(laid(written(*recording("ls_6930_0000"), "mp3")))
    assert isinstance(sound, HereSound)
    assert sound.open() == pytest.approx(sum(map(len, sound.blocks())) / EAR_RATE_HZ, abs=0.2)
    sound.close()
