"""The embedded engines for real: real weights, real speech, read back."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import aclosing

import numpy as np
import pytest
import soxr
from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from realtime.batching import FINAL, PARTIAL, SPECULATION
from realtime.engines import HearingState, Line, Utterance
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.llama_lines import progress_of
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.speech_detector import Windows
from realtime.engines.turnstile import Place
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from realtime.prompt import Message
from tests.client import ear_audio

normal = EnglishTextNormalizer()


@pytest.fixture
async def whisper(models):
    engine = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    engine.load()
    engine.start()
    yield engine
    await engine.close()


async def test_the_voice_is_understood_and_starts_at_once(whisper):
    voice = EmbeddedVoice(metrics=Metrics())
    voice.load()
    voice.start()
    text = "The weather is nice today, and we could go for a walk along the river."
    chunks = [c async for c in voice.speak(Line(text), owner="a")]
    await voice.close()
    audio = np.concatenate(chunks)
    assert np.flatnonzero(np.abs(audio) > 328)[0] <= 24_000 * 0.05
    heard = await whisper.transcribe(Utterance(soxr.resample(audio, 24_000, 16_000)), owner="a")
    assert wer(normal(text), normal(heard.text)) <= 0.15


async def test_a_live_caller_s_line_goes_before_those_that_wait_behind_him(monkeypatch):
    voice, spoken = EmbeddedVoice(metrics=Metrics()), []
    begun, goes_on = threading.Event(), threading.Event()

    def run(batch):
        spoken.extend(piece.text for piece in batch)
        begun.set()
        goes_on.wait(10)
        return [np.ones(5, np.int16)] * len(batch)

    monkeypatch.setattr(voice._batcher, "_run", run)
    voice.start()

    async def speak(line: Line, owner: str) -> None:
        async for _ in voice.speak(line, owner=owner):
            pass

    async with asyncio.TaskGroup() as group:
        for n in range(4):
            group.create_task(speak(Line(f"{n}", rank=PARTIAL), f"speech {n}"))
        await asyncio.to_thread(begun.wait, 10)
        live = group.create_task(speak(Line("live"), "caller"))
        while voice._batcher.waiting < 4:  # noqa: ASYNC110, no event tells of it
            await asyncio.sleep(0)
        goes_on.set()
        await live
    await voice.close()
    assert spoken[1] == "live"


async def test_a_line_begun_ahead_goes_before_the_other_guesses_once_it_is_wanted(monkeypatch):
    voice, spoken = EmbeddedVoice(metrics=Metrics()), []
    begun, goes_on = threading.Event(), threading.Event()

    def run(batch):
        spoken.extend(piece.text for piece in batch)
        begun.set()
        goes_on.wait(10)
        return [np.ones(5, np.int16)] * len(batch)

    monkeypatch.setattr(voice._batcher, "_run", run)
    voice.start()

    async def speak(text: str, rank: int) -> None:
        async for _ in voice.speak(Line(text, rank=rank), owner=text):
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(speak("first", FINAL))
        await asyncio.to_thread(begun.wait, 10)
        for text in ("a guess", "another", "the right one"):
            group.create_task(speak(text, SPECULATION))
        while voice._batcher.waiting < 3:  # noqa: ASYNC110, no event tells of it
            await asyncio.sleep(0)
        voice.hurry("the right one")
        goes_on.set()
    await voice.close()
    assert spoken == ["first", "the right one", "a guess", "another"]


async def test_many_streams_at_once_are_heard_as_each_alone(detector):
    audio = [ear_audio(n) for n in ("ls_6930_0000", "ls_1221_0002", "jfk")]
    windows = [list(a[: len(a) // 512 * 512].reshape(-1, 512)) for a in audio]
    together = detector.run([Windows(HearingState(), w) for w in windows])
    for w, probabilities in zip(windows, together, strict=True):
        alone = detector.run([Windows(HearingState(), w)])[0]
        np.testing.assert_allclose(probabilities, alone, atol=1e-4)
        assert max(probabilities) > 0.9


@pytest.fixture
async def replier(models):
    engine = EmbeddedReplier(models["llm"], threads=2)
    engine.load()
    engine.start()
    yield engine
    await engine.close()


async def said(engine: EmbeddedReplier, prompt: list[Message], max_tokens: int = 24) -> str:
    return "".join([d.text async for d in engine.reply(prompt, max_tokens=max_tokens, owner="a")])


async def test_the_language_model_streams_and_its_length_is_bounded(replier):
    prompt = [Message("user", "Tell me a very long story about the sea.")]
    deltas = [d async for d in replier.reply(prompt, max_tokens=6, owner="a")]
    assert 2 <= len(deltas) <= 8
    assert deltas[-1].cut


async def test_a_context_that_is_too_long_is_shortened_and_answered(replier):
    prompt = [Message("system", "Be kind.")]
    prompt += [Message("user", "one two three four five " * 60) for _ in range(16)]
    assert await said(replier, prompt, max_tokens=4)


async def test_it_tells_words_that_may_end_here_from_those_that_may_not(replier):
    async def ends(said: str) -> float:
        prompt = [Message("system", "Be kind."), Message("user", said)]
        return await replier.ends(prompt, owner="a")

    for whole, begun in (
        ("We need a plastic snake and a big toy frog for the kids.", "We need a plastic"),
        ("What is your name?", "What is"),
        ("I would like to go home.", "I would like to"),
    ):
        assert await ends(begun) < 0.1 < await ends(whole)
    assert await ends("...") == 1.0


async def test_of_words_that_were_read_ahead_only_the_rest_is_read(replier):
    read = []
    ask = replier._reader._ask

    async def watched(path, body):
        answer = await ask(path, body)
        if path == "/completion":
            read.append(answer["timings"]["prompt_n"])
        return answer

    replier._reader._ask = watched
    system = Message("system", "Be kind to everybody, and say little.")
    said = "We need a plastic snake and a big toy frog for the kids."
    await replier.read([system, Message("user", "We need a plastic snake and a big")], owner="a")
    assert await replier.ends([system, Message("user", said)], owner="a") > 0.1
    ahead, left = read
    assert ahead > 15
    assert left <= 6


async def test_closing_the_stream_frees_the_slot(replier):
    prompt = [Message("user", "Tell me a very long story.")]
    for _ in range(12):
        stream = replier.reply(prompt, max_tokens=96, owner="a")
        async with aclosing(stream):
            await anext(stream)
    assert await said(replier, prompt, max_tokens=4)


async def test_nobody_without_the_key_is_answered(replier):
    async with replier._client.get("/slots", headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401


def long_prompt(words: int) -> list[Message]:
    """Some four tokens for each word; a slot holds 1,024."""
    return [Message("user", " ".join(f"word{n}" for n in range(100, 100 + words)))]


async def test_a_short_prompt_is_not_kept_waiting_by_a_long_one(replier):
    answered = []

    async def ask(name: str, prompt: list[Message]) -> None:
        assert [d async for d in replier.reply(prompt, max_tokens=4, owner=name)]
        answered.append(name)

    async with asyncio.TaskGroup() as callers:
        callers.create_task(ask("long", long_prompt(80)))
        await asyncio.sleep(0)
        callers.create_task(ask("short", [Message("user", "Hello.")]))
    assert answered == ["short", "long"]


async def test_a_reply_stops_what_is_read_ahead_which_goes_on_after_it(replier):
    ahead = asyncio.create_task(replier.prepare(long_prompt(60), owner="a"))
    await asyncio.sleep(0)
    assert await said(replier, [Message("user", "Hello.")], max_tokens=4)
    assert not ahead.done()
    await ahead


async def test_llama_stops_reading_when_nobody_wants_the_reply(replier, monkeypatch):
    """What it read until then is there the next time, and not more."""
    read, began = [], asyncio.Event()
    advanced = Place.advanced

    def watched(place: Place, *, left: bool) -> None:
        advanced(place, left=left)
        began.set()

    def counted(line: bytes) -> tuple[int, int] | None:
        if progress := progress_of(line):
            read.append(json.loads(line[6:])["prompt_progress"]["cache"])
        return progress

    monkeypatch.setattr(Place, "advanced", watched)
    monkeypatch.setattr("realtime.engines.llm.progress_of", counted)
    reply = asyncio.create_task(said(replier, long_prompt(150)))
    await began.wait()
    reply.cancel()
    await asyncio.wait({reply})
    read.clear()
    assert await said(replier, long_prompt(150), max_tokens=1)
    assert read[0] <= 512
