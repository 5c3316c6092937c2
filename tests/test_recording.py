"""A whole recording through a recogniser: windows in order, where they are, and as a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from realtime.audio import EAR_RATE_HZ
from realtime.batching import FILE
from realtime.engines import Reach, Transcript, Utterance
from realtime.errors import TranscriptionError
from realtime.recording import hear_recording
from realtime.timing import Passage, Word
from tests.fakes import FakeTranscriber

ASKED = Utterance(np.zeros(0, np.int16), prompt="Names: Ann.", words=True, temperature=0.2)


class Timed(FakeTranscriber):
    """Says when: one word in the middle of every window."""

    async def transcribe(self, utterance, *, owner):
        told = await super().transcribe(utterance, owner=owner)
        if not told.text:
            return told
        word = Word(told.text, 1.0, 2.0)
        return replace(told, passages=(Passage(0.0, told.seconds, told.text, (word,)),))


async def blocks(*seconds: float):
    for length_s in seconds:
        yield np.ones(int(length_s * EAR_RATE_HZ), np.int16)


async def heard(transcriber, *seconds, asked=ASKED) -> list[Transcript]:
    sound = blocks(*seconds)
    return [t async for t in hear_recording(sound, transcriber, asked, owner="file-1")]


async def test_windows_go_by_the_rank_of_files_and_as_they_were_asked_for():
    transcriber = FakeTranscriber(reach=Reach(longest_s=6.0))
    told = await heard(transcriber, 10, 10)
    assert sum(t.seconds for t in told) == pytest.approx(20)
    assert all(len(audio) <= 6 * EAR_RATE_HZ for audio in transcriber.heard)
    assert {u.rank for u in transcriber.asked} == {FILE}
    assert {(u.prompt, u.words, u.temperature) for u in transcriber.asked} == {
        ("Names: Ann.", True, 0.2)
    }


async def test_passages_lie_where_they_are_in_the_recording():
    told = await heard(Timed(texts=["a", "", "b"], reach=Reach(longest_s=6.0)), 15)
    begins, at = [], 0.0
    for transcript in told:
        begins += [(p.start_s, p.words[0].start_s, at) for p in transcript.passages]
        at += transcript.seconds
    assert len(begins) == len(told) - 1 > 1
    for passage_s, word_s, window_s in begins:
        assert passage_s == pytest.approx(window_s)
        assert word_s == pytest.approx(window_s + 1)


async def test_a_language_is_found_out_in_the_first_window_with_words():
    transcriber = FakeTranscriber(texts=["", "bonjour"], language="fr", reach=Reach(longest_s=6.0))
    await heard(transcriber, 17)
    assert [u.language for u in transcriber.asked] == [
        None,
        None,
        *["fr"] * (len(transcriber.asked) - 2),
    ]


async def test_a_language_that_was_given_stays():
    transcriber = FakeTranscriber(language="fr", reach=Reach(longest_s=6.0))
    await heard(transcriber, 12, asked=replace(ASKED, language="de"))
    assert {u.language for u in transcriber.asked} == {"de"}


async def test_the_next_block_is_not_asked_for_before_the_window_was_heard():
    asked_for: list[int] = []

    async def counted():
        for n in range(5):
            asked_for.append(n)
            yield np.ones(6 * EAR_RATE_HZ, np.int16)

    transcripts = hear_recording(
        counted(), FakeTranscriber(reach=Reach(longest_s=6.0)), ASKED, owner="file-1"
    )
    await anext(transcripts)
    assert asked_for == [0, 1]
    await transcripts.aclose()


async def test_a_recogniser_that_fails_ends_it():
    transcriber = FakeTranscriber(texts=[TranscriptionError("no")])
    with pytest.raises(TranscriptionError):
        await heard(transcriber, 5)
