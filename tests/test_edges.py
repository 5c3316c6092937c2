from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime.audio import cut_silence
from realtime.edges import Edges

HEAD, TAIL = 3, 5

samples = st.lists(
    st.one_of(
        st.tuples(st.just(0.0), st.integers(1, 20)), st.tuples(st.just(0.5), st.integers(1, 6))
    ),
    max_size=12,
).map(lambda runs: np.concatenate([np.full(n, v, np.float32) for v, n in runs] or [np.zeros(0)]))


def trimmed(sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    edges = Edges(head=HEAD, tail=TAIL)
    parts = np.split(sound.astype(np.float32), sorted(min(c, len(sound)) for c in cuts))
    return np.concatenate(
        [edges.push(part, last=i == len(parts) - 1) for i, part in enumerate(parts)]
    )


@given(samples, st.lists(st.integers(0, 120), max_size=5))
def test_in_pieces_it_keeps_what_the_whole_keeps(sound: np.ndarray, cuts: list[int]) -> None:
    """Up to silence at the very end: of that no more than the tail, wherever it was cut."""
    whole = cut_silence(sound.astype(np.float32), head=HEAD, tail=TAIL)
    got = trimmed(sound, cuts)
    assert len(whole) - TAIL <= len(got) <= len(whole)
    assert np.array_equal(got, whole[: len(got)])
    assert not whole[len(got) :].any()


def test_silence_inside_comes_with_what_follows_it() -> None:
    edges = Edges(head=HEAD, tail=TAIL)
    word, silence = np.full(4, 0.5, np.float32), np.zeros(20, np.float32)
    assert len(edges.push(np.concatenate((silence, word)), last=False)) == HEAD + 4
    assert len(edges.push(silence, last=False)) == 0
    assert len(edges.push(word, last=False)) == 20 + 4
    assert len(edges.push(silence, last=True)) == 0
