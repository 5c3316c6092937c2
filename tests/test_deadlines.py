from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from realtime.deadlines import MOST_TOGETHER, URGENT_S, Chunk, Work, next_work, step_by

NOW_S = 100.0


def chunk(line: str, runs_dry_in_s: float | None, **given: object) -> Chunk:
    dry_s = None if runs_dry_in_s is None else NOW_S + runs_dry_in_s
    return Chunk(line, given.pop("shape", "a"), NOW_S - 1, dry_s, **given)  # type: ignore[arg-type]


def lines(work: Work | list[Chunk]) -> list[object]:
    assert isinstance(work, list), work
    return [each.line for each in work]


def test_who_is_about_to_hear_nothing_goes_before_everything() -> None:
    chunks = [chunk("new", None), chunk("soon", 0.2), chunk("sooner", 0.1, shape="b")]
    assert lines(next_work(chunks, NOW_S, can_begin=True, can_step=True)) == ["sooner"]


def test_a_line_begins_before_first_chunks_are_made() -> None:
    assert next_work([chunk("new", None)], NOW_S, can_begin=True, can_step=True) is Work.BEGIN


def test_first_and_last_chunks_go_before_a_step_and_others_after() -> None:
    calm = URGENT_S + 1
    first, last, other = chunk("f", None), chunk("l", calm, last=True), chunk("o", calm)
    assert lines(next_work([other, first], NOW_S, can_begin=False, can_step=True)) == ["f", "o"]
    assert lines(next_work([last], NOW_S, can_begin=False, can_step=True)) == ["l"]
    assert next_work([other], NOW_S, can_begin=False, can_step=True) is Work.STEP
    assert lines(next_work([other], NOW_S, can_begin=False, can_step=False)) == ["o"]


def test_who_needs_tokens_first_gets_a_step() -> None:
    chunks = [chunk("soon", 0.3)]
    assert (
        next_work(chunks, NOW_S, can_begin=True, can_step=True, step_by_s=NOW_S + 0.1) is Work.STEP
    )
    assert lines(
        next_work(chunks, NOW_S, can_begin=True, can_step=True, step_by_s=NOW_S + 0.4)
    ) == ["soon"]
    assert next_work([], NOW_S, can_begin=False, can_step=True, step_by_s=NOW_S) is Work.STEP


def test_who_waits_for_a_place_shares_the_steps_that_others_need() -> None:
    assert next_work([], NOW_S, can_begin=True, can_step=True, step_by_s=NOW_S) is Work.BEGIN
    first = chunk("new", None)
    assert next_work([first], NOW_S, can_begin=False, can_step=True, step_by_s=NOW_S) is Work.STEP
    dry = chunk("dry", -1.0)
    assert next_work([dry], NOW_S, can_begin=True, can_step=True) is Work.BEGIN


def test_nothing_to_do_is_a_wait() -> None:
    assert next_work([], NOW_S, can_begin=False, can_step=False) is Work.WAIT


seconds = st.one_of(st.none(), st.floats(-2, 5))
some_chunks = st.lists(
    st.builds(
        lambda number, dry, shape, last: chunk(str(number), dry, shape=shape, last=last),
        st.integers(),
        seconds,
        st.sampled_from("abc"),
        st.booleans(),
    ),
    max_size=30,
)


@given(some_chunks, st.booleans(), st.booleans())
def test_always_something_and_always_of_one_shape(
    chunks: list[Chunk], can_begin: bool, can_step: bool
) -> None:
    work = next_work(chunks, NOW_S, can_begin=can_begin, can_step=can_step)
    assert (work is Work.WAIT) == (not chunks and not can_begin and not can_step)
    assert work is not Work.BEGIN or can_begin
    assert work is not Work.STEP or can_step
    if isinstance(work, list):
        assert 0 < len(work) <= MOST_TOGETHER
        assert len({each.shape for each in work}) == 1
        assert all(each in chunks for each in work)
    urgent = [c.runs_dry_s for c in chunks if c.runs_dry_s and c.runs_dry_s <= NOW_S + URGENT_S]
    if urgent and not (can_begin and min(urgent) <= NOW_S):
        assert isinstance(work, list)
        assert work[0].runs_dry_s == min(urgent)


@dataclass
class Line:
    """One line in the simulation: tokens come with steps, sound with chunks, and it is heard."""

    number: int
    asked_s: float
    tokens: int = 0
    made: int = 0
    dry_s: float | None = None
    starved_s: float = 0.0
    first_s: float = field(default=float("nan"))


def test_many_lines_on_a_fast_machine_never_run_dry() -> None:
    """32 lines of 8 s arrive over 2 s; a step takes 4 ms, a run of chunks 15 ms and 4 a chunk."""
    simulated = simulate(next_work, count=32)
    assert max(line.starved_s for line in simulated) == 0
    waits_s = sorted(line.first_s - line.asked_s for line in simulated)
    assert waits_s[-1] < 0.5


def test_without_deadlines_a_line_waits_for_the_steps_of_others() -> None:
    def steps_first(
        chunks: list[Chunk],
        now_s: float,
        *,
        can_begin: bool,
        can_step: bool,
        step_by_s: float | None,
    ) -> Work | list[Chunk]:
        if can_begin or can_step:
            return Work.BEGIN if can_begin else Work.STEP
        return [min(chunks, key=lambda c: c.since_s)] if chunks else Work.WAIT

    def longest_wait_s(lines: list[Line]) -> float:
        return max(line.first_s - line.asked_s for line in lines)

    by_need, by_stage = simulate(next_work, count=32), simulate(steps_first, count=32)
    assert longest_wait_s(by_stage) > 3 * longest_wait_s(by_need)


def test_steps_are_due_for_who_still_hears_something() -> None:
    assert step_by([(NOW_S + 2, 10), (NOW_S + 1, 30)], NOW_S, 0.01) == NOW_S + 0.7
    assert step_by([(NOW_S + 2, 0), (NOW_S - 1, 30)], NOW_S, 0.01) is None
    assert step_by([], NOW_S, 0.01) is None


def test_on_a_machine_that_is_too_slow_nobody_is_kept_out() -> None:
    """A line alone takes 1.3 times its length there: its listener is always short of something."""
    lines = simulate(next_work, count=8, slowness=13)
    last_s = max(line.first_s for line in lines)
    assert min(line.starved_s for line in lines) > 0
    assert last_s < 5


ENDS = (10, 30, 70, 145, 200)


def simulate(policy: object, *, count: int, slowness: float = 1.0) -> list[Line]:
    """Run a policy until every line is made; when each listener hears what, by the clock."""
    step_s, begin_s, run_s, chunk_s = (slowness * s for s in (0.004, 0.005, 0.015, 0.004))
    now_s = 0.0
    coming = [Line(n, n * 2.0 / count) for n in range(count)]
    lines: list[Line] = []
    while coming or any(line.made < 200 for line in lines):
        can_begin = bool(coming) and coming[0].asked_s <= now_s
        due = {}
        for line in lines:
            end = next((e for e in ENDS if e > line.made), 0)
            if end and line.tokens >= end:
                due[line.number] = (
                    line,
                    end,
                    Chunk(line.number, end - line.made, line.asked_s, line.dry_s, end == 200),
                )
        stepping = any(line.tokens < 200 for line in lines)
        chunks = [each[2] for each in due.values()]
        needs = [(line, next((e for e in ENDS if e > line.made), 0)) for line in lines]
        listeners = [
            (line.dry_s, end - line.tokens) for line, end in needs if line.dry_s is not None
        ]
        work = policy(  # type: ignore[operator]
            chunks,
            now_s,
            can_begin=can_begin,
            can_step=stepping,
            step_by_s=step_by(listeners, now_s, step_s),
        )
        if work is Work.BEGIN:
            lines.append(coming.pop(0))
            now_s += begin_s
        elif work is Work.STEP:
            for line in lines:
                line.tokens = min(200, line.tokens + 1)
            now_s += step_s
        elif work is Work.WAIT:
            now_s = max(now_s, coming[0].asked_s)
        else:
            now_s += run_s + chunk_s * len(work)
            for each in work:
                line, end, _ = due[each.line]
                if line.dry_s is None:
                    line.first_s = line.dry_s = now_s
                line.starved_s += max(0.0, now_s - line.dry_s)
                line.dry_s = max(now_s, line.dry_s) + (end - line.made) * 0.04
                line.made = end
    return lines
