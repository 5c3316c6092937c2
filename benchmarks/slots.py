"""What a caller with short prompts feels of one whose prompts nearly fill the context.

    python -m benchmarks.slots --questions 12

B asks short questions, alone and beside A, who sends long prompts one after the other, each of them
new. The ways of sharing take turns, twice over (A B C D A B C D), each on a language model loaded
anew: as the server does it (prompts in batches of 128 tokens, one prompt at a time), the same with
batches of 64 and of 512, and batches of 128 with all prompts read at once.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.report import Cell, emit, machine, ratio, spread, table

WAYS = {
    "128, one at a time": (128, True),
    "64, one at a time": (64, True),
    "512, one at a time": (512, True),
    "128, all at once": (128, False),
}
"""Tokens of a batch, and whether prompts take turns."""
BLOCKS = 2
ROLES = (
    "Answer in one sentence.",
    "You are a sailor. Speak like one.",
    "Be kind to children who ask.",
)
"""B's, in turn. Prompts that begin alike share a slot, and whose slot comes first is luck."""

LONG_WORDS = 200
"""Some 820 tokens of made-up words with numbers; a slot holds 1,024."""
REPLY_TOKENS = 24
PIECE_TOKENS = 12
PAUSE_S = 0.4
"""Mean of B's pause between two questions, so that they meet A's prompts at any point."""


@dataclass
class Waits:
    """Milliseconds of one caller, over all blocks of one way."""

    first_ms: list[float] = field(default_factory=list)
    """From asking to the first token."""
    piece_ms: list[float] = field(default_factory=list)
    """From asking to the token that ends a first piece of usual length."""
    gap_ms: list[float] = field(default_factory=list)
    """The longest wait between two tokens of a reply."""

    def add(self, asked_at: float, tokens_at: list[float]) -> None:
        """Add a reply by when it was asked for and when each token came, in seconds."""
        self.first_ms.append((tokens_at[0] - asked_at) * 1000)
        self.piece_ms.append((tokens_at[min(PIECE_TOKENS, len(tokens_at)) - 1] - asked_at) * 1000)
        if len(tokens_at) > 1:
            gaps = [later - earlier for earlier, later in pairwise(tokens_at)]
            self.gap_ms.append(max(gaps) * 1000)


@dataclass
class Way:
    """B alone and beside A, and A."""

    alone: Waits = field(default_factory=Waits)
    beside: Waits = field(default_factory=Waits)
    a: Waits = field(default_factory=Waits)


async def ask(replier: Any, role: str, text: str, owner: str, waits: Waits) -> None:
    """One reply, timed."""
    from realtime.prompt import Message

    prompt = [Message("system", role), Message("user", text)]
    asked_at, tokens_at = time.perf_counter(), []
    async for _ in replier.reply(prompt, max_tokens=REPLY_TOKENS, owner=owner):
        tokens_at.append(time.perf_counter())
    waits.add(asked_at, tokens_at)


async def ask_short(replier: Any, questions: int, dice: random.Random, waits: Waits) -> None:
    """B: short questions with pauses."""
    for n in range(questions):
        await asyncio.sleep(dice.expovariate(1 / PAUSE_S))
        question = f"Name a thing that {dice.randrange(1_000)} people need."
        await ask(replier, ROLES[n % len(ROLES)], question, "B", waits)


async def ask_long(replier: Any, dice: random.Random, waits: Waits) -> None:
    """A: long prompts, one after the other, for ever."""
    while True:
        words = [f"word{dice.randrange(1_000)}" for _ in range(LONG_WORDS)]
        await ask(replier, "Answer.", f"Which of these is a number? {' '.join(words)}", "A", waits)


@asynccontextmanager
async def loaded(path: Path, batch: int, turns: bool) -> AsyncIterator[Any]:
    """The embedded language model, warm."""
    from realtime.engines.llm import MAX_WAITING, SLOTS, EmbeddedReplier
    from realtime.slots import Slots
    from realtime.threads import thread_budget

    at_once: Slots[Any] = Slots(SLOTS, max_waiting=MAX_WAITING, max_turns=1, readers=SLOTS)
    replier = EmbeddedReplier(
        path,
        threads=thread_budget().llm,
        prompt_batch=batch,
        slots=None if turns else at_once,
    )
    await asyncio.to_thread(replier.load)
    replier.start()
    try:
        await replier.warm(ROLES[0])
        yield replier
    finally:
        await replier.close()


async def block(path: Path, name: str, questions: int, seed: int, way: Way) -> None:
    """B alone, then beside A."""
    dice = random.Random(seed)
    async with loaded(path, *WAYS[name]) as replier:
        await ask_short(replier, questions, dice, way.alone)
        busy = asyncio.create_task(ask_long(replier, random.Random(seed + 1), way.a))
        await asyncio.sleep(PAUSE_S)
        await ask_short(replier, questions, dice, way.beside)
        busy.cancel()
        with suppress(asyncio.CancelledError):
            await busy


def row(name: str, way: Way) -> list[Cell]:
    first, piece = spread(way.beside.first_ms), spread(way.beside.piece_ms)
    alone_first, alone_piece = spread(way.alone.first_ms), spread(way.alone.piece_ms)
    cells: list[Cell] = [name, alone_first["median"], first["median"], first["p95"]]
    cells += [ratio(first["median"], alone_first["median"]), alone_piece["median"]]
    cells += [piece["median"], piece["p95"], ratio(piece["median"], alone_piece["median"])]
    return [*cells, spread(way.a.first_ms)["median"]]


def facts(waits: Waits) -> dict[str, object]:
    """One caller's waits for the JSON line."""
    return {
        "first_ms": spread(waits.first_ms),
        "piece_ms": spread(waits.piece_ms),
        "longest_gap_ms": spread(waits.gap_ms),
    }


async def run(args: argparse.Namespace) -> dict[str, object]:
    """All blocks and the table; gives the JSON line."""
    import bootstrap

    about = machine()
    models = await bootstrap.ensure(bootstrap.plan_for("embedded"), bootstrap.default_volume())
    ways = {name: Way() for name in WAYS}
    for n in range(BLOCKS):
        for name in WAYS:
            await block(models["llm"], name, args.questions, args.seed + n, ways[name])
            print(f"block {n + 1}, {name}: done", file=sys.stderr, flush=True)
    headings = ["B, ms", "token alone", "beside", "p95", "ratio"]
    headings += ["piece alone", "beside", "p95", "ratio", "A's token"]
    print(table(headings, [row(name, way) for name, way in ways.items()]))
    told = {
        name: {"alone": facts(way.alone), "beside": facts(way.beside), "a": facts(way.a)}
        for name, way in ways.items()
    }
    return {"benchmark": "slots", "machine": about, "questions": args.questions, "ways": told}


def main() -> None:
    from realtime.threads import apply_process_limits, thread_budget

    parser = argparse.ArgumentParser(description="Short prompts beside long ones.")
    parser.add_argument("--questions", type=int, default=12, help="of each half of each block")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    apply_process_limits(thread_budget())
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
