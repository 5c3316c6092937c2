"""Words to segments: sentences, pauses, full lines; words that hold silence."""

from __future__ import annotations

import pytest

from realtime.timing import SEGMENT_CHARS, Passage, Word, segments_of, without_pauses


def words(text: str, *, each_s: float = 0.3, start_s: float = 0.0) -> tuple[Word, ...]:
    return tuple(
        Word(f" {word}", start_s + n * each_s, start_s + (n + 1) * each_s, (n,), -0.1)
        for n, word in enumerate(text.split())
    )


def passage(*said: Word) -> Passage:
    return Passage(0.0, said[-1].end_s, "".join(w.text for w in said).strip(), tuple(said))


def texts(*said: Word) -> list[str]:
    return [segment.text for segment in segments_of([passage(*said)])]


def test_a_segment_ends_with_its_sentence():
    assert texts(*words('He said "Go." Then he went. Why?')) == [
        'He said "Go."',
        "Then he went.",
        "Why?",
    ]


def test_a_segment_ends_at_a_pause():
    assert texts(*words("one two"), *words("three", start_s=2.0)) == ["one two", "three"]


def test_a_long_sentence_is_cut_after_a_clause_and_no_line_is_overfull():
    long = (
        "we go to the market in the old town every week, and there we buy apples and pears and nuts"
    )
    first, second = texts(*words(long))
    assert first == "we go to the market in the old town every week,"
    assert second == "and there we buy apples and pears and nuts"
    unbroken = texts(*words("word " * 60))
    assert all(len(text) <= SEGMENT_CHARS for text in unbroken)
    assert " ".join(unbroken).split() == ["word"] * 60


def test_segments_hold_all_words_once_with_their_times_and_tokens():
    said = words("One two. Three four five. Six")
    segments = list(segments_of([passage(*said)]))
    assert [token for s in segments for token in s.tokens] == [w.tokens[0] for w in said]
    assert [(s.start_s, s.end_s) for s in segments] == [
        (said[0].start_s, said[1].end_s),
        (said[2].start_s, said[4].end_s),
        (said[5].start_s, said[5].end_s),
    ]


def test_a_passage_without_words_is_one_segment():
    [segment] = segments_of([Passage(3.0, 5.0, "All of it. In one.")])
    assert (segment.start_s, segment.end_s, segment.text) == (3.0, 5.0, "All of it. In one.")


def test_a_moved_passage_takes_its_words_along():
    moved = passage(*words("one two")).moved(10.0)
    assert (moved.start_s, moved.words[1].start_s) == (10.0, pytest.approx(10.3))


def test_silence_between_sentences_is_taken_out_of_the_words_beside_it():
    """An alignment gave a pause of 3 s to the word that begins the second sentence."""
    aligned = (
        *words("Good morning to you."),
        Word(" How", 1.2, 4.5),
        *words("are you", start_s=4.5),
    )
    tidied = without_pauses(aligned, 5.1)
    assert tidied[4].end_s == 4.5
    assert tidied[4].start_s == pytest.approx(4.5 - 0.6)
    assert tidied[:4] == aligned[:4]


def test_no_word_lies_beyond_the_sound():
    tidied = without_pauses(words("one two three"), 0.5)
    assert [word.end_s for word in tidied] == [0.3, 0.5, 0.5]
