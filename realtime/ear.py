"""One caller's ear: wire audio in, turn events out, and the audio of each turn.

Speech in a frame means that webrtcvad says so **and** Silero is above the threshold. webrtcvad is
the cheap gate: it costs 25 microseconds a frame, with the gain that lets it hear quiet speech in a
still room (`quiet_gain`), and is hardly ever wrong about silence, but calls rain, hum
and music speech; alone it would never let a turn end. Silero runs only while the gate is open.

How the two are aligned. webrtcvad frames are 20 ms, 320 samples, counted from the stream's start.
When a frame is voiced and the gate is shut, the gate opens: Silero starts from a fresh state
`PREROLL_SAMPLES` before that frame and then reads every window of 512 samples in order, none
skipped, until the gate shuts. A frame's probability is that of the window that holds the frame's
last sample. So a voiced frame may wait for up to 31 ms until its window is full; an unvoiced one is
silence at once.

A pause within a turn is put before the end-of-turn model by `judge`, if there is one, where the
words of the turn are not looked for, come late or leave a doubt, and a verdict can change anything.
Audio does not wait for the verdict: it counts from the frame on that comes next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import webrtcvad

from realtime.audio import (
    EAR_RATE_HZ,
    SLICE_MS,
    AudioLog,
    ByteAligner,
    FrameSlicer,
    Int16,
    ms_to_samples,
    samples_to_ms,
)
from realtime.endpointing import JUDGED_AFTER_MS
from realtime.engines import EndOfTurn, HearingState, SpeechDetector
from realtime.engines.speech_detector import WINDOW_SAMPLES
from realtime.errors import StageError
from realtime.formats import Format, Resampler
from realtime.quiet_gain import QuietGain
from realtime.session_config import TurnDetection
from realtime.turns import TAIL_MS, SpeechStopped, TurnDetector, TurnEvent, TurnPaused

log = logging.getLogger("banter.ear")

FRAME_SAMPLES = ms_to_samples(20, EAR_RATE_HZ)
SLICE_SAMPLES = ms_to_samples(SLICE_MS, EAR_RATE_HZ)
GATE_MODE = 2
"""webrtcvad's aggressiveness: of Silero's speech frames it keeps 99 % at 2 and 95 % at 3."""

NARROW_SHARE = 0.5
"""Of the threshold, for audio from a telephone. Silero, which wants 16 kHz, is half as sure of a
voice without its lowest and highest tones; of noise it is no surer then."""

PREROLL_SAMPLES = 15 * WINDOW_SAMPLES
GATE_SHUTS_SAMPLES = ms_to_samples(300, EAR_RATE_HZ)
MAX_LOG_SAMPLES = 15 * 60 * EAR_RATE_HZ
"""Audio kept while no turn is committed; older audio is dropped and counted."""

RELISTEN_SAMPLES = 30 * EAR_RATE_HZ
"""Kept audio that is heard again when turn detection is turned on."""

TAIL_SAMPLES = ms_to_samples(TAIL_MS, EAR_RATE_HZ)
"""Audio after the last speech that the recogniser still gets."""

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

JUDGED_AFTER_SAMPLES = ms_to_samples(JUDGED_AFTER_MS, EAR_RATE_HZ)
"""Silence of a pause that the end-of-turn model hears, however late it is asked: of longer ones it
believes more that they are the end, of those in mid-clause too."""

JUDGED_SAMPLES = 8 * EAR_RATE_HZ
"""Of the turn so far, what the end-of-turn model is given."""


@dataclass
class _Gate:
    """An open gate: a Silero stream that began at `start` and has read up to `read_to`."""

    start: int
    read_to: int
    state: HearingState = field(default_factory=HearingState)
    probabilities: deque[float] = field(default_factory=deque)
    first: int = 0

    def probability(self, sample: int) -> float | None:
        """Of the window that holds this sample; None while it is not full."""
        index = (sample - self.start) // WINDOW_SAMPLES - self.first
        while index > 0 and self.probabilities:
            self.probabilities.popleft()
            self.first, index = self.first + 1, index - 1
        return self.probabilities[0] if self.probabilities else None


class Ear:
    """Feed it audio in the order in which it came. It awaits the speech detector, nothing else.

    With an end-of-turn model, a pause that is being judged has a task, made by `spawn`: whoever
    owns these tasks awaits them, and `close` cancels what is left.
    """

    def __init__(
        self,
        detector: SpeechDetector,
        *,
        owner: Hashable,
        end_of_turn: EndOfTurn | None = None,
        spawn: Spawn = asyncio.create_task,
    ) -> None:
        self._detector, self._owner = detector, owner
        self._end_of_turn, self._spawn = end_of_turn, spawn
        self._judging: asyncio.Task[None] | None = None
        self._unjudged: TurnPaused | None = None
        self._vad = webrtcvad.Vad(GATE_MODE)
        self._quiet = QuietGain()
        self._threshold = 0.5
        self._format = Format()
        self._open_format()
        self._slicer = FrameSlicer(FRAME_SAMPLES)
        self._log = AudioLog(MAX_LOG_SAMPLES)
        self._gate: _Gate | None = None
        self._pending: deque[tuple[int, bool]] = deque()
        self._unvoiced = 0
        self._supplied = 0
        self._listened = 0
        self._found: list[TurnEvent] = []
        self.turns = TurnDetector(listens=end_of_turn is not None)
        self._detection: TurnDetection | None = None

    def close(self) -> None:
        """Drop a pause that is being judged, or may still be."""
        self._unjudged = None
        if self._judging:
            self._judging.cancel()

    @property
    def dropped_samples(self) -> int:
        """Samples lost because nothing was committed for longer than the log holds."""
        return self._log.dropped_samples

    @property
    def buffered_ms(self) -> int:
        """Audio that a commit would take now."""
        kept = self._log.end - max(self._log.start, self._commit_from())
        return samples_to_ms(kept + self._resampler.lag_samples, EAR_RATE_HZ)

    @property
    def received(self) -> int:
        """The position up to which audio came, heard or not."""
        return self._log.end + self._resampler.lag_samples

    def configure(self, detection: TurnDetection | None, wire: Format) -> None:
        """Take new turn settings and a new input format; nothing that was heard is lost.

        Without turn detection all audio is kept for a commit; when it is turned on again, the last
        `RELISTEN_SAMPLES` of what was kept are listened to with what comes next.
        """
        if wire != self._format:
            self._log.append(self._resampler.flush())
            self._format = wire
            self._open_format()
        if self._detection is None and detection is not None:
            self._slicer.flush()
            self._pending.clear()
            self._gate = None
            start = max(self._log.start, self._log.end - RELISTEN_SAMPLES)
            self.turns.position = self._listened = start
            self.turns.reset()
        if self._detection is not None and detection is None:
            self._log.forget(self.turns.uncommitted_from)
            self.turns.reset()
        self._detection = detection
        if detection is not None:
            narrow = wire.rate_hz < EAR_RATE_HZ
            self._threshold = detection.threshold * (NARROW_SHARE if narrow else 1.0)
            self.turns.begin_from(self._log.start)
            self.turns.configure(detection.turn_settings())

    async def hear(self, data: bytes) -> list[TurnEvent]:
        """Take wire audio, at most a slice at a time; get the turn events in it.

        The audio of a turn that ended can be read until the next call.
        """
        samples = self._format.decode(self._aligner.push(data))
        return await self._listen(self._resampler.push(samples))

    async def _listen(self, heard: Int16) -> list[TurnEvent]:
        if self._detection is None:
            self._log.append(heard)
            return []
        self._forget()
        self._log.append(heard)
        while self._listened < self._log.end:
            end = min(self._listened + SLICE_SAMPLES, self._log.end)
            for frame in self._slicer.push(self._log.read(self._listened, end)):
                self._take(frame)
            self._listened = end
            await self._read_windows()
            self._found += self._resolve()
            if self._listened < self._log.end:
                await asyncio.sleep(0)
        return self._take_found()

    def skip(self) -> list[TurnEvent]:
        """The detector failed: frames that wait for it are silence, and the gate opens anew. Gives
        the turn events that were found before."""
        self._gate = None
        self._pending = deque((end, False) for end, _ in self._pending)
        return self._take_found()

    def _take_found(self) -> list[TurnEvent]:
        found, self._found = self._found, []
        return found

    async def supply_silence(self, ms: int) -> list[TurnEvent]:
        """Stand in for a client that stopped sending; times told to clients do not move."""
        samples = ms_to_samples(ms, EAR_RATE_HZ)
        self._supplied += samples
        rest = self._resampler.flush()
        return await self._listen(np.concatenate((rest, np.zeros(samples, np.int16))))

    def turn_audio(self, turn: SpeechStopped, start: int) -> Int16:
        """What the recogniser should hear of a turn that began at `start`."""
        return self._log.read(start, min(turn.end, turn.last_speech + TAIL_SAMPLES))

    def audio(self, start: int, end: int) -> Int16:
        """What was heard from one position to another, of a turn in progress."""
        return self._log.read(start, end)

    def commit(self) -> Int16:
        """All audio since the last commit or turn, to its last sample; the log is empty then."""
        self._log.append(self._resampler.flush())
        audio = self._log.read(self._commit_from(), self._log.end)
        self._restart()
        return audio

    def _commit_from(self) -> int:
        """Where uncommitted audio begins: with a turn in progress, or just before now."""
        return self._log.start if self._detection is None else self.turns.uncommitted_from

    def clear(self) -> None:
        """Forget what was heard since the last commit, and any turn in progress."""
        self._log.append(self._resampler.flush())
        self._restart()

    def client_ms(self, position: int) -> int:
        """An ear position as milliseconds of the audio that the client sent."""
        return samples_to_ms(max(0, position - self._supplied), EAR_RATE_HZ)

    def _open_format(self) -> None:
        self._aligner = ByteAligner(self._format.sample_bytes)
        self._resampler = Resampler(self._format.rate_hz, EAR_RATE_HZ)

    def _restart(self) -> None:
        self._log.forget(self._log.end)
        self._listened = self._log.end
        self._slicer.flush()
        self._pending.clear()
        self._gate = None
        self.turns.position = self._log.end
        self.turns.reset()

    def _take(self, frame: Int16) -> None:
        """One frame through webrtcvad; opens the gate where it is voiced."""
        end = self.turns.position + (len(self._pending) + 1) * FRAME_SAMPLES
        voiced = self._vad.is_speech(self._quiet.raised(frame).tobytes(), EAR_RATE_HZ)
        self._unvoiced = 0 if voiced else self._unvoiced + FRAME_SAMPLES
        if voiced and self._gate is None:
            start = max(self._log.start, end - FRAME_SAMPLES - PREROLL_SAMPLES)
            self._gate = _Gate(start, start)
        self._pending.append((end, voiced))

    async def _read_windows(self) -> None:
        """Every window that is full by now, in order, through Silero."""
        gate = self._gate
        if gate is None:
            return
        count = (self._listened - gate.read_to) // WINDOW_SAMPLES
        if not count:
            return
        end = gate.read_to + count * WINDOW_SAMPLES
        audio = self._quiet.centred(self._log.read(gate.read_to, end))
        windows = list(audio.reshape(count, WINDOW_SAMPLES))
        found = await self._detector.probabilities(gate.state, windows, owner=self._owner)
        gate.read_to = end
        gate.probabilities.extend(found)

    def _resolve(self) -> list[TurnEvent]:
        """Frames whose answer is known by now, in order, through the turn detector."""
        events: list[TurnEvent] = []
        assert self._detection is not None
        while self._pending:
            end, voiced = self._pending[0]
            speech = False
            if voiced and self._gate is not None:
                probability = self._gate.probability(end - 1)
                if probability is None:
                    break
                speech = probability >= self._threshold
            self._pending.popleft()
            events += (told := self.turns.push(FRAME_SAMPLES, speech))
            self._note(told)
        if self._gate and self.turns.idle and self._unvoiced >= GATE_SHUTS_SAMPLES:
            self._gate = None
        return events

    def _note(self, told: Sequence[TurnEvent]) -> None:
        """A pause may be judged; what comes after it ends the asking."""
        for event in told:
            self.close()
            self._unjudged = event if isinstance(event, TurnPaused) else None

    def judge(self) -> None:
        """Put a pause before the end-of-turn model, once, if that is wanted by now: to be called
        after audio, when it is clear whether its words are looked for, and when they are known."""
        pause = self._unjudged
        if self._end_of_turn is None or pause is None or not self.turns.wants_sound:
            return
        self._unjudged = None
        end = pause.last_speech + JUDGED_AFTER_SAMPLES
        audio = self._log.read(max(self.turns.keep_from, end - JUDGED_SAMPLES), end)
        self._judging = self._spawn(self._ask(self._end_of_turn, pause, audio))

    async def _ask(self, model: EndOfTurn, pause: TurnPaused, audio: Int16) -> None:
        """Tell the turn detector what the model thinks, or that it says nothing."""
        try:
            complete = await model.complete(audio, owner=self._owner)
        except StageError as error:
            log.warning("%s: a pause was not judged: %s", self._owner, error)
            self.turns.decide(pause.last_speech, listening=False)
            return
        self.turns.decide(pause.last_speech, sound=complete)

    def _forget(self) -> None:
        """Drop audio that neither a turn, nor a pre-roll, nor the open gate will ask for."""
        needed = self.turns.keep_from
        if self._gate is not None:
            needed = min(needed, self._gate.read_to)
        self._log.forget(min(needed, self._log.end - PREROLL_SAMPLES - FRAME_SAMPLES))
