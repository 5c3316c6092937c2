"""The recogniser for real: batches, windows, prompts, and what is done about doubtful words."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import pytest_asyncio
from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from realtime.allowance import Allowance
from realtime.audio import EAR_RATE_HZ
from realtime.batching import FILE, FINAL, PARTIAL, SPECULATION
from realtime.engines import Transcript, Utterance
from realtime.engines.whisper import WhisperTranscriber
from realtime.engines.whisper_model import Heard, Window
from realtime.errors import Saturated, TranscriptionError
from realtime.fallback import Attempt
from realtime.metrics import Metrics
from tests.client import ear_audio, transcripts

pytestmark = pytest.mark.asyncio(loop_scope="module")
normal = EnglishTextNormalizer()

SHORT = ("ls_6930_0000", "ls_1221_0002", "lj001_0016")
LOOP = "so it is " * 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whisper(models):
    engine = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    engine._batcher._queue.max_batch_s = None  # a batch is not cut because the machine is busy
    engine.load()
    engine.start()
    yield engine
    await engine.close()


@dataclass
class Decoder:
    """The model's decoder, watched: batches are kept, held up, and their results spoilt."""

    decode: Callable[[Sequence[Window]], list[Heard]]
    spoil: Callable[[Window, Heard], Heard] = lambda window, heard: heard
    batches: list[Sequence[Window]] = field(default_factory=list)
    gates: dict[int, threading.Event] = field(default_factory=dict)

    def hold(self, number: int) -> threading.Event:
        """The batch of this number, from 1, waits until the event is set."""
        return self.gates.setdefault(number, threading.Event())

    def __call__(self, batch: Sequence[Window]) -> list[Heard]:
        self.batches.append(batch)
        if gate := self.gates.get(len(self.batches)):
            assert gate.wait(20)
        heard = self.decode(batch)
        return [self.spoil(w, h) for w, h in zip(batch, heard, strict=True)]

    @property
    def attempts(self) -> list[Attempt]:
        return [batch[0].attempt for batch in self.batches]


@pytest.fixture
def decoder(whisper, monkeypatch) -> Decoder:
    watched = Decoder(whisper._model._decode)
    monkeypatch.setattr(whisper._model, "_decode", watched)
    return watched


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a thread makes it true, and sets no event
            await asyncio.sleep(0)


def ask(whisper: WhisperTranscriber, utterances: Sequence[Utterance]) -> list[asyncio.Task]:
    """One caller for each."""
    return [asyncio.ensure_future(whisper.transcribe(u, owner=n)) for n, u in enumerate(utterances)]


async def ask_together(
    whisper: WhisperTranscriber, decoder: Decoder, utterances: Sequence[Utterance]
) -> list[asyncio.Task]:
    """All wait for a busy model, which then takes them: in batches 2, 3 and so on."""
    busy = decoder.hold(1)
    ask(whisper, [Utterance(ear_audio("ls_6930_0000"))])
    await until(lambda: decoder.batches)
    asked = ask(whisper, utterances)
    await until(lambda: whisper._batcher.waiting == len(utterances))
    busy.set()
    return asked


def changed(heard: Heard, **fields: object) -> Heard:
    return replace(heard, hypothesis=replace(heard.hypothesis, **fields))


async def texts(asked: Sequence[asyncio.Task]) -> list[str]:
    found: list[Transcript] = await asyncio.gather(*asked)
    return [t.text for t in found]


async def test_real_speech_in_one_batch_is_heard_as_alone(whisper, decoder):
    said = transcripts()
    spoken = [Utterance(ear_audio(name)) for name in said]
    together = await texts(await ask_together(whisper, decoder, spoken))
    assert max(len(batch) for batch in decoder.batches) == 8
    alone = [await whisper.transcribe(u, owner=0) for u in spoken]
    assert together == [t.text for t in alone]
    assert wer([normal(t) for t in said.values()], [normal(t) for t in together]) <= 0.12


async def test_an_utterance_over_30_s_is_heard_to_its_end(whisper, decoder):
    long = np.concatenate([ear_audio("jfk")] * 4)
    heard = await whisper.transcribe(Utterance(long, rank=FILE), owner="a")
    assert normal(heard.text).count("ask not what your country") == 4
    assert heard.seconds == pytest.approx(44, abs=0.5)
    assert set(decoder.attempts) == {Attempt(15.0)}
    assert sum(batch[0].seconds for batch in decoder.batches) == pytest.approx(44, abs=0.5)


@pytest.mark.parametrize("name", ["noise_tap_sc", "noise_wind_bl", "silence", "a moment"])
@pytest.mark.parametrize("prompt", ["", "A talk with Dr. Konkord about the Wizzard of Prin."])
async def test_where_nobody_speaks_there_are_no_words(whisper, name, prompt):
    zeros = {"silence": 48_000, "a moment": 800}
    audio = np.zeros(zeros[name], np.int16) if name in zeros else ear_audio(name)
    heard = await whisper.transcribe(Utterance(audio, prompt=prompt), owner="a")
    assert heard.text == ""


async def test_callers_with_their_own_prompts_at_once(whisper, decoder):
    audio = ear_audio("ls_6930_0000")
    plain = "hello there. i never use capitals or commas. okay so"
    spoken = [
        Utterance(audio),
        Utterance(audio, prompt=plain),
        Utterance(audio, hotwords="Konkord"),
        Utterance(audio),
    ]
    asked = await ask_together(whisper, decoder, spoken)
    first, lower, hot, last = await texts(asked)
    assert first == last == "Concord returned to its place amidst the tents."
    assert lower.islower()
    assert hot.startswith("Konkord")
    assert sorted(len(batch) for batch in decoder.batches[1:]) == [1, 1, 2]
    assert all(len({w.key for w in batch}) == 1 for batch in decoder.batches)


async def test_a_prompt_of_any_length_leaves_room_for_the_words(whisper):
    longest = Utterance(
        ear_audio("jfk"), prompt="A speech on television. " * 400, hotwords="Kennedy"
    )
    heard = await whisper.transcribe(longest, owner="a")
    assert "ask what you can do for your country" in normal(heard.text)


async def test_suppressed_tokens_are_not_written(whisper):
    audio = ear_audio("ls_6930_0000")
    [concord] = whisper._model._whisper.hf_tokenizer.encode(" tents", add_special_tokens=False).ids
    heard = await whisper.transcribe(Utterance(audio, suppress=(-1, concord)), owner="a")
    assert heard.text
    assert "tents" not in heard.text


async def test_a_loop_is_tried_again_alone_and_the_others_have_their_words(whisper, decoder):
    marked = ear_audio("vctk_p287_004_clean")
    decoder.spoil = lambda window, heard: (
        changed(heard, text=LOOP, tokens=99)
        if window.seconds == len(marked) / 16_000 and window.attempt == Attempt(8.0)
        else heard
    )
    spoken = [Utterance(ear_audio(name)) for name in SHORT]
    retry = decoder.hold(3)
    looping, *others = await ask_together(whisper, decoder, [Utterance(marked), *spoken])
    assert all(await texts(others))
    assert not looping.done()
    retry.set()
    assert (await looping).text.startswith("We also need a small plastic snake")
    assert [len(batch) for batch in decoder.batches[1:]] == [4, 1]
    assert decoder.attempts[2] == Attempt(30.0)


async def test_what_stays_improbable_is_sampled_at_rising_temperatures(whisper, decoder):
    decoder.spoil = lambda window, heard: (
        heard if window.attempt.temperature else changed(heard, log_probability=-1.5)
    )
    heard = await whisper.transcribe(Utterance(ear_audio("vctk_p287_004_clean")), owner="a")
    assert decoder.attempts == [Attempt(8.0), Attempt(30.0), Attempt(30.0, 0.2)]
    assert wer(normal(transcripts()["vctk_p287_004_clean"]), normal(heard.text)) <= 0.2


async def test_attempts_end_and_a_doubtful_partial_shows_nothing(whisper, decoder):
    decoder.spoil = lambda window, heard: changed(heard, text=LOOP)
    audio = ear_audio("ls_6930_0000")
    partial = await whisper.transcribe(Utterance(audio, rank=PARTIAL), owner="a")
    assert partial.text == ""
    assert len(decoder.batches) == 1
    final = await whisper.transcribe(Utterance(audio), owner="a")
    assert final.text == LOOP
    assert [a.temperature for a in decoder.attempts[1:]] == [0, 0, 0.2, 0.4]


async def test_where_the_queue_is_full_there_is_no_second_attempt(whisper, decoder, monkeypatch):
    decoder.spoil = lambda window, heard: changed(heard, log_probability=-1.5)
    submit = whisper._batcher.submit

    async def once(window: Window, **how: object) -> Heard:
        if window.attempt.window_s == 30:
            raise Saturated("transcription", "too much is waiting")
        return await submit(window, **how)

    monkeypatch.setattr(whisper._batcher, "submit", once)
    heard = await whisper.transcribe(Utterance(ear_audio("ls_6930_0000")), owner="a")
    assert heard.text.startswith("Concord")


async def test_one_bad_window_fails_alone(whisper, decoder):
    decode = decoder.decode

    def poisoned(batch: Sequence[Window]) -> list[Heard]:
        if any(window.seconds == 1 for window in batch):
            raise ValueError("poisoned")
        return decode(batch)

    decoder.decode = poisoned
    spoken = [Utterance(np.ones(16_000, np.int16)), *(Utterance(ear_audio(n)) for n in SHORT)]
    bad, *good = await ask_together(whisper, decoder, spoken)
    assert all(await texts(good))
    with pytest.raises(TranscriptionError):
        await bad
    assert len(decoder.batches[1]) == 4


async def test_windows_whose_words_are_timed_share_a_run_only_in_one_language_and_task():
    def window(language: str | None, words: bool) -> Window:
        features = np.zeros((80, 10), np.float32)
        return Window(features, 0.1, Attempt(15.0), language, words=words)

    assert window("en", True).key == window("en", True).key
    assert window("en", True).key != window("de", True).key
    assert window(None, True).key != window(None, True).key
    assert window("en", True).key != window("en", False).key
    assert window("en", True).key != replace(window("en", True), translate=True).key
    assert window(None, False).key == window("de", False).key


async def test_words_of_a_batch_are_those_of_the_windows_alone(whisper):
    clips = [ear_audio(name) for name in ("ls_6930_0000", "lj001_0016")]
    silence = np.zeros(32_000, np.int16)
    asked = [Utterance(audio, language="en", words=True) for audio in (*clips, silence)]
    alone = [await whisper.transcribe(utterance, owner=0) for utterance in asked]
    together = await asyncio.gather(
        *(whisper.transcribe(utterance, owner=n) for n, utterance in enumerate(asked))
    )
    assert [t.text for t in together] == [t.text for t in alone]
    assert together[2].passages == ()
    for one, other in zip(alone[:2], together[:2], strict=True):
        [passage], [same] = one.passages, other.passages
        assert "".join(word.text for word in passage.words).strip() == one.text
        assert [w.start_s for w in passage.words] == pytest.approx(
            [w.start_s for w in same.words], abs=0.1
        )


async def test_a_partial_is_heard_with_less_silence_after_it_than_a_final(whisper, decoder):
    audio = ear_audio("jfk")[: int(7.3 * 16_000)]
    for rank in (PARTIAL, SPECULATION, FINAL):
        heard = await whisper.transcribe(Utterance(audio, rank=rank), owner="a")
        assert normal(heard.text).startswith("and so")
    assert [a.window_s for a in decoder.attempts] == [8.0, 15.0, 15.0]


async def test_a_busy_recogniser_has_no_time_for_partials(whisper, decoder):
    assert whisper.spare
    busy = decoder.hold(1)
    asked = ask(whisper, [Utterance(ear_audio("ls_6930_0000"))])
    await until(lambda: decoder.batches)
    assert not whisper.spare
    busy.set()
    await texts(asked)
    await until(lambda: whisper.spare)


async def test_partials_have_their_share_of_the_time_and_no_more(whisper, monkeypatch):
    monkeypatch.setattr(whisper, "_allowance", Allowance(0.0, 0.5))
    begun_s = whisper._batcher.ran_s[PARTIAL]
    whisper._allowance.covers(0.0, at_s=0.0, spent_s=begun_s)
    whisper._allowance.left_s = 0.5
    asked = Utterance(ear_audio("ls_6930_0000"), rank=PARTIAL)
    async with asyncio.timeout(20):
        while whisper.spare:
            await whisper.transcribe(asked, owner="a")
            await until(lambda: whisper._batcher.idle)
    assert 0 < whisper._batcher.ran_s[PARTIAL] - begun_s < 0.5 + 2.0
    assert (await whisper.transcribe(replace(asked, rank=FINAL), owner="a")).text


async def test_a_speculation_that_came_true_passes_the_other_speculations(whisper, decoder):
    busy = decoder.hold(1)
    ask(whisper, [Utterance(ear_audio("ls_6930_0000"))])
    await until(lambda: decoder.batches)
    whisper._batcher._queue.max_batch = 1
    spoken = [ear_audio(name) for name in ("ls_6930_0000", "ls_1221_0002")]
    asked = ask(whisper, [Utterance(audio, rank=SPECULATION) for audio in spoken])
    await until(lambda: whisper._batcher.waiting == 2)
    whisper.hurry(1)
    busy.set()
    await texts(asked)
    whisper._batcher._queue.max_batch = 8
    after = [batch[0].seconds for batch in decoder.batches[1:]]
    assert after == [len(audio) / EAR_RATE_HZ for audio in reversed(spoken)]
    assert not whisper._speculations
