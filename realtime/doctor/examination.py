"""Runs checks side by side, for a bounded time; a check that hangs or raises is a finding too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from realtime.aside import in_thread
from realtime.doctor.finding import Finding, error

LIMIT_S = 60.0
"""For all checks together: the import of torch from a cold network disk takes half of it."""

GRACE_S = 3.0
"""How long cancelled checks may take to end their child processes."""


@dataclass(frozen=True)
class Check:
    """`look` is called once; `subject` names it in the report should it not get so far itself."""

    subject: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


async def examine(checks: Sequence[Check], limit_s: float = LIMIT_S) -> list[Finding]:
    """All findings in the order of the checks. Takes `limit_s` and `GRACE_S` at most, and never
    raises for a check's sake."""
    tasks = [asyncio.create_task(_look(check)) for check in checks]
    if not tasks:
        return []
    late = set(tasks)
    try:
        _, late = await asyncio.wait(tasks, timeout=limit_s)
    finally:  # interrupted, all of them
        for task in late:
            task.cancel()
    if late:
        await asyncio.wait(late, timeout=GRACE_S)
    findings: list[Finding] = []
    for check, task in zip(checks, tasks, strict=True):
        findings += [_late(check, limit_s)] if task in late else task.result()
    return findings


async def _look(check: Check) -> Sequence[Finding]:
    try:
        return await check.look()
    except Exception as problem:
        seen = f"this check failed: {type(problem).__name__}: {problem}"
        return [error(check.subject, seen, "report it: a check should not fail, whatever it sees")]


def _late(check: Check, limit_s: float) -> Finding:
    remedy = "see what holds it up (a disk or a name server that does not answer), and try again"
    return error(check.subject, f"no answer within {limit_s:g} s", remedy)


def blocking(work: Callable[[], Sequence[Finding]]) -> Callable[[], Awaitable[Sequence[Finding]]]:
    """A check's `look` from a function that may block."""

    async def look() -> Sequence[Finding]:
        return await in_thread(work)

    return look
