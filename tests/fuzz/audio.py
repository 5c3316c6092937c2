"""A client's sound, from the connection's bytes to turns: frames, formats, resampling, the ear.

The first byte says how the sound is sent: in JSON or binary, in how many frames, in which portions
it arrives. Then come commands of one byte with their operands (`_Story`). Everything that the ear
does is held against a plain account of the same sound: no sample is lost or comes twice, positions
rise, each turn's audio is what was sent, and what is kept has a bound.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from unittest.mock import patch

import numpy as np

from realtime import client_events, frames
from realtime.audio import (
    BLOCK_SAMPLES,
    EAR_RATE_HZ,
    SLICE_MS,
    AudioLog,
    ByteAligner,
    Int16,
    base64_slices,
    byte_slices,
    ms_to_samples,
)
from realtime.ear import FRAME_SAMPLES, PREROLL_SAMPLES, SLICE_SAMPLES, TAIL_SAMPLES, Ear
from realtime.errors import EndOfTurnError
from realtime.formats import Format, Resampler
from realtime.frames import BINARY, CONTINUATION, LOOK_BYTES, TEXT, FrameCutter, frame_at, unmasked
from realtime.session_config import SemanticVad, ServerVad, TurnDetection
from realtime.turns import SpeechStarted, SpeechStopped, TurnEvent
from tests.rehearsal import LevelDetector, sound
from tests.timeless import TimelessLoop

SMALLER = {"WHOLE_BYTES": 200, "PIECE_BYTES": 2_048}
"""Large messages are cut; here a small one is large, or the fuzzer would have to write 64 KiB."""

MAX_AUDIO_BYTES = 1 << 20
MOST_COMMANDS = 40
FORMATS = [
    *(Format("pcm", rate) for rate in (8_000, 16_000, 24_000, 48_000)),
    Format("pcmu", 8_000),
    Format("pcma", 8_000),
]
DETECTIONS: list[TurnDetection | None] = [
    None,
    ServerVad(),
    ServerVad(threshold=0.1, prefix_padding_ms=0, silence_duration_ms=20),
    ServerVad(prefix_padding_ms=5_000, silence_duration_ms=200),
    SemanticVad(),
    SemanticVad(eagerness="high"),
]
KEY = b"\x11\xa2\x03\xf4"
MOST_KEPT = ms_to_samples(5_000, EAR_RATE_HZ) + PREROLL_SAMPLES + FRAME_SAMPLES + SLICE_SAMPLES
"""Outside a turn: the longest prefix, and what the gate reads."""

MOST_WINDOWS = 400
"""Silence after speech reads on to the turn's end, 10 s at most."""

_loop = TimelessLoop()


def one_input(data: bytes) -> None:
    """Run one story; raises where something is not as it must be."""
    if len(data) > 1:
        with patch.multiple(frames, **SMALLER):
            _loop.run_until_complete(_Story(data).run())


class _Verdicts:
    """An end-of-turn model that answers what the story says."""

    verdict = 1.0

    async def complete(self, audio: Int16, *, owner: object) -> float:
        await asyncio.sleep(0)
        if self.verdict < 0:
            raise EndOfTurnError("it cannot say")
        return self.verdict


class _KeptLog(AudioLog):
    """A log that remembers all that was ever put into it."""

    def __init__(self, max_samples: int) -> None:
        super().__init__(max_samples)
        self.all: list[Int16] = []

    def append(self, audio: Int16) -> None:
        super().append(audio)
        self.all.append(audio)


@dataclass
class _Account:
    """The same sound, told plainly: as segments of one format each."""

    wire: Format = field(default_factory=Format)
    samples: list[Int16] = field(default_factory=list)
    done: list[Int16] = field(default_factory=list)
    aligner: ByteAligner = field(default_factory=lambda: ByteAligner(2))

    def add(self, data: bytes) -> None:
        self.samples.append(self.wire.decode(self.aligner.push(data)))

    def end(self) -> None:
        """What the resampler holds comes out, and it starts anew."""
        joined = np.concatenate(self.samples) if self.samples else np.zeros(0, np.int16)
        resampler = Resampler(self.wire.rate_hz, EAR_RATE_HZ)
        heard = np.concatenate((resampler.push(joined), resampler.flush()))
        exact = len(joined) * EAR_RATE_HZ / self.wire.rate_hz
        assert abs(len(heard) - exact) <= 1, f"{len(joined)} samples became {len(heard)}"
        self.done.append(heard)
        self.samples.clear()

    def change(self, wire: Format) -> None:
        if wire != self.wire:
            self.end()
            self.wire, self.aligner = wire, ByteAligner(wire.sample_bytes)


class _Story:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 1
        self._text, self._judged = bool(data[0] & 1), bool(data[0] & 2)
        self._step = 1 + (data[0] >> 2) * 37
        self._verdicts = _Verdicts()
        self._ear = Ear(
            LevelDetector(), owner="fuzz", end_of_turn=self._verdicts if self._judged else None
        )
        self._log = _KeptLog(self._ear._log.max_samples)
        self._ear._log = self._log
        self._detection: TurnDetection | None = DETECTIONS[1]
        self._ear.configure(self._detection, Format())
        self._account = _Account()
        self._cutter = FrameCutter(MAX_AUDIO_BYTES)
        self._started: int | None = None
        self._ended = 0

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def _bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    async def run(self) -> None:
        for _ in range(MOST_COMMANDS):
            if self._at >= len(self._data):
                break
            await self._command(self._byte() % 10)
            self._check_bounds()
        await asyncio.sleep(0)
        self._ear.close()
        await asyncio.sleep(0)
        commit = self._ear.commit()
        self._account.end()
        self._check_account()
        assert len(commit) <= len(np.concatenate([*self._log.all, commit[:0]]))

    async def _command(self, command: int) -> None:
        match command:
            case 0:
                await self._hear(self._bytes(self._byte() * 4))
            case 1 | 2:
                seconds = (self._byte() % 100 + 1) * 0.02
                await self._hear(sound(seconds, command == 1, self._account.wire))
            case 3:
                wire = FORMATS[self._byte() % len(FORMATS)]
                self._account.change(wire)
                self._ear.configure(self._detection, wire)
            case 4:
                self._detection = DETECTIONS[self._byte() % len(DETECTIONS)]
                self._ear.configure(self._detection, self._account.wire)
                if not self._ear.turns.in_turn:
                    self._started = None
            case 5:
                self._check_commit()
            case 6:
                self._account.end()
                self._ear.clear()
                self._started = None
            case 7:
                await self._be_quiet()
            case 8:
                self._verdicts.verdict = self._byte() / 128 - 1
            case 9:
                self._check_garbage(self._bytes(self._byte()))

    async def _hear(self, data: bytes) -> None:
        """Sound over the connection, as the server takes it."""
        self._account.add(data)
        wire = self._account.wire
        slice_bytes = wire.rate_hz * wire.sample_bytes * SLICE_MS // 1000
        arrived = []
        for opcode, payload in self._sent(data):
            if opcode == BINARY:
                pieces = byte_slices(payload, slice_bytes)
            else:
                event = client_events.decode(payload.decode())
                assert isinstance(event, client_events.AudioAppend)
                pieces = base64_slices(event.audio, slice_bytes)
            for piece in pieces:
                arrived.append(piece)
                self._check(await self._ear.hear(piece))
        assert b"".join(arrived) == data, "what arrived is not what was sent"

    def _sent(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that come out of the cutter for one message that goes in."""
        opcode, payload = BINARY, data
        if self._text:
            audio = base64.b64encode(data).decode()
            opcode = TEXT
            payload = json.dumps({"type": "input_audio_buffer.append", "audio": audio}).encode()
        size = max(1, len(payload) // 3 if self._step % 2 else len(payload))
        parts = [payload[n : n + size] for n in range(0, len(payload), size)] or [b""]
        raw = b"".join(
            _frame(CONTINUATION if n else opcode, part, final=n == len(parts) - 1)
            for n, part in enumerate(parts)
        )
        step = max(self._step, len(raw) // 200)
        out = []
        for n in range(0, len(raw), step):
            out.append(self._cutter.push(raw[n : n + step]))
            assert len(self._cutter._held) <= LOOK_BYTES + 14, "the cutter keeps more than it says"
        return _messages(b"".join(out))

    async def _be_quiet(self) -> None:
        """The client stopped sending; silence is supplied, as `Listening.quiet` does it."""
        if self._detection is None or self._ear.turns.idle:
            return
        for _ in range(20):
            self._account.end()
            self._account.done.append(np.zeros(SLICE_SAMPLES, np.int16))
            self._check(await self._ear.supply_silence(SLICE_MS))
            if self._ear.turns.idle:
                return

    def _check(self, events: list[TurnEvent]) -> None:
        ear = self._ear
        for event in events:
            if isinstance(event, SpeechStarted):
                assert self._started is None
                assert event.start >= self._log.start, "the beginning of a turn is lost"
                assert self._ended <= event.start or not event.continues
                self._started = event.start
            elif isinstance(event, SpeechStopped):
                assert self._started is not None
                assert self._started <= event.last_speech <= event.end <= self._log.end
                audio = ear.turn_audio(event, self._started)
                end = min(event.end, event.last_speech + TAIL_SAMPLES)
                assert np.array_equal(audio, self._past(self._started, end)), "not what was said"
                self._started, self._ended = None, event.end
        assert ear.turns.position <= self._log.end

    def _check_commit(self) -> None:
        begin = max(self._log.start, self._ear._commit_from())
        buffered_ms = self._ear.buffered_ms
        self._account.end()
        audio = self._ear.commit()
        assert np.array_equal(audio, self._past(begin, self._log.end)), "not what was heard"
        assert abs(len(audio) * 1000 / EAR_RATE_HZ - buffered_ms) <= 2
        assert self._ear.buffered_ms == 0
        self._started = None

    def _past(self, start: int, end: int) -> Int16:
        return np.concatenate([np.zeros(0, np.int16), *self._log.all])[start:end]

    def _check_account(self) -> None:
        """All that was ever heard is all that was ever sent, however it was cut."""
        heard = self._past(0, self._log.end)
        sent = np.concatenate(self._account.done)
        assert len(heard) == len(sent) == self._log.end, f"{len(sent)} became {len(heard)}"
        off = np.abs(heard.astype(np.int32) - sent)
        assert not len(off) or off.max() <= 1, "other samples than those that were sent"

    def _check_bounds(self) -> None:
        ear = self._ear
        assert not ear.dropped_samples
        assert len(self._log._blocks) <= 2 + 2 * len(self._log) // BLOCK_SAMPLES
        assert len(ear._slicer._rest) < FRAME_SAMPLES
        assert len(ear._pending) <= 3, f"{len(ear._pending)} frames wait"
        if self._detection is not None and not ear.turns.in_turn and ear._listened == self._log.end:
            assert len(self._log) <= MOST_KEPT + self._last_heard(), f"{len(self._log)} kept"
        if ear._gate:
            assert len(ear._gate.probabilities) <= MOST_WINDOWS

    def _last_heard(self) -> int:
        """What one call may add before the next one forgets, with kept audio listened to anew."""
        return max((len(each) for each in self._log.all[-1:]), default=0) + 30 * EAR_RATE_HZ

    def _check_garbage(self, data: bytes) -> None:
        """Any bytes at all: nothing is made of them that was not there."""
        cutter = FrameCutter(MAX_AUDIO_BYTES)
        step = max(1, self._step % 50)
        out = b"".join(cutter.push(data[n : n + step]) for n in range(0, len(data), step))
        assert len(cutter._held) <= LOOK_BYTES + 14
        whole = FrameCutter(MAX_AUDIO_BYTES)
        if cutter._message is None and whole.push(data) == data[: len(data) - len(whole._held)]:
            assert out + cutter._held == data


def _frame(opcode: int, payload: bytes, *, final: bool) -> bytes:
    length = len(payload)
    if length < 126:
        wide = bytes((0x80 | length,))
    elif length < 2**16:
        wide = bytes((0x80 | 126,)) + length.to_bytes(2, "big")
    else:
        wide = bytes((0x80 | 127,)) + length.to_bytes(8, "big")
    return bytes((final << 7 | opcode,)) + wide + KEY + unmasked(payload, KEY, 0)


def _messages(data: bytes) -> list[tuple[int, bytes]]:
    """Frames back to whole messages, as a WebSocket library does it."""
    found: list[tuple[int, bytes]] = []
    at = 0
    open_: tuple[int, bytes] | None = None
    while at < len(data):
        frame = frame_at(data, at)
        assert frame is not None, "half a frame was passed on"
        at += frame.size
        payload = unmasked(data[at : at + frame.length], frame.key, 0)
        assert len(payload) == frame.length, "half a frame was passed on"
        at += frame.length
        if frame.opcode == CONTINUATION:
            assert open_ is not None
            open_ = (open_[0], open_[1] + payload)
        else:
            assert open_ is None
            open_ = (frame.opcode, payload)
        if frame.final:
            found.append(open_)
            open_ = None
    return found
