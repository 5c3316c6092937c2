"""Which replica a job goes to."""

from __future__ import annotations

import pytest

from realtime.cluster.loads import AVOIDED_S, Load, LoadBook, load_of


def book(**queued_s: float) -> LoadBook:
    made = LoadBook()
    made.running({name: {"queued_s": seconds} for name, seconds in queued_s.items()})
    return made


def test_the_replica_with_the_least_queued_audio_is_first() -> None:
    assert book(a=4.0, b=0.5, c=9.0).order(now_s=0) == ["b", "a", "c"]


def test_what_was_sent_counts_until_the_replica_tells_its_load() -> None:
    loads = book(a=0.0, b=1.0)
    loads.sent(1, "a", 5.0)
    assert loads.order(now_s=0)[0] == "b"
    loads.tell("a", Load(queued_s=0.0))
    assert loads.order(now_s=0)[0] == "a"


def test_old_news_of_serve_does_not_hide_what_was_sent_since() -> None:
    """It passes the same values on whenever any replica has news."""
    loads = book(a=0.0, b=1.0)
    loads.sent(1, "a", 5.0)
    loads.running({"a": {"queued_s": 0.0}, "b": {"queued_s": 2.0}})
    assert loads.order(now_s=0) == ["b", "a"]


def test_a_job_that_is_done_after_the_replica_told_takes_nothing_from_another() -> None:
    loads = book(a=0.0, b=4.0)
    loads.sent(1, "a", 5.0)
    loads.tell("a", Load(queued_s=5.0))
    loads.sent(2, "a", 5.0)
    loads.done(1)
    assert loads.queued_s == 14.0


def test_a_replica_that_answered_since_is_known() -> None:
    loads = book(a=0.0)
    loads.tell("a", Load(), 5.0)
    assert loads.answered_since("a", 4.0)
    assert not loads.answered_since("a", 5.0)
    assert not loads.answered_since("b", 0.0)


def test_a_job_that_is_done_counts_no_more() -> None:
    loads = book(a=0.0, b=1.0)
    loads.sent(1, "a", 5.0)
    loads.done(1)
    assert loads.order(now_s=0)[0] == "a"
    assert loads.where(1) is None


def test_of_two_idle_replicas_the_one_with_fewer_jobs_is_first() -> None:
    loads = book(a=0.0, b=0.0)
    loads.sent(1, "a", 0.0)
    assert loads.order(now_s=0) == ["b", "a"]


def test_a_job_that_is_sent_again_is_at_the_new_place_only() -> None:
    loads = book(a=0.0, b=0.0)
    loads.sent(1, "a", 3.0)
    loads.sent(1, "b", 3.0)
    assert loads.where(1) == "b"
    assert loads.queued_s == 3.0


def test_a_voice_that_a_replica_lacks_puts_it_last() -> None:
    loads = LoadBook()
    loads.running(
        {"a": {"voices": ["default"]}, "b": {"voices": ["default", "ada"], "queued_s": 9}}
    )
    assert loads.order(now_s=0, voice="ada") == ["b", "a"]
    assert loads.order(now_s=0, voice="default") == ["a", "b"]
    assert loads.voices() == ["ada", "default"]


def test_a_replica_that_does_not_answer_is_left_alone_for_a_while() -> None:
    loads = book(a=0.0, b=9.0)
    loads.avoid("a", 10.0)
    assert loads.order(now_s=10.0 + AVOIDED_S / 2) == ["b", "a"]
    assert loads.order(now_s=10.0 + AVOIDED_S) == ["a", "b"]


def test_the_only_replica_is_taken_even_so() -> None:
    loads = book(a=0.0)
    loads.avoid("a", 0.0)
    assert loads.order(now_s=0.0) == ["a"]


def test_at_names_the_only_one_that_will_do() -> None:
    assert book(a=0.0, b=0.0).order(now_s=0, at="b") == ["b"]
    assert book(a=0.0).order(now_s=0, at="gone") == []


def test_a_replica_that_is_gone_takes_nothing_and_may_still_answer() -> None:
    loads = book(a=0.0, b=0.0)
    loads.sent(1, "a", 2.0)
    loads.running({"b": {}})
    assert loads.order(now_s=0) == ["b"]
    loads.done(1)
    assert loads.queued_s == 0.0
    assert len(loads) == 1


def test_what_is_known_of_a_replica_outlives_news_without_a_load() -> None:
    loads = book(a=7.0)
    loads.running({"a": {}, "b": {}})
    assert loads.order(now_s=0) == ["b", "a"]


def test_spare_needs_a_replica_with_nothing_under_way() -> None:
    loads = book(a=0.0)
    assert loads.spare
    loads.sent(1, "a", 1.0)
    assert not loads.spare
    assert loads.free
    loads.tell("a", Load(free=False))
    assert not loads.free


def test_no_replica_is_neither_spare_nor_free() -> None:
    empty = LoadBook()
    assert not empty.spare
    assert not empty.free
    assert empty.order(now_s=0) == []


@pytest.mark.parametrize("told", [{}, {"queued_s": 0}])
def test_a_load_that_says_little_is_idle(told: dict[str, float]) -> None:
    assert load_of(told) == Load()
