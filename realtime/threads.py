"""How many threads each engine gets, and how they wait: one place that divides the cores.

Engines that spin while they wait starve each other, and engines that sleep at once wait for the
kernel at every barrier. Measured on two cores, Whisper and then the language model in turn: with
libgomp's own waiting 500 ms for an utterance and 33 ms for a token, with none
(`OMP_WAIT_POLICY=passive`) 120 and 25, with a spin of a thousand rounds 80 and 12. llama.cpp itself
is told not to poll, ONNX sessions run on their caller's thread, and only CTranslate2 and llama.cpp
get more than one thread.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

GIL_SWITCH_INTERVAL_S = 0.001
"""How long a thread may hold the interpreter while the loop waits (Python's own: 5 ms)."""

SPIN_ROUNDS = 1_000
"""How long an OpenMP thread looks for its next piece of work before it sleeps: microseconds."""


@dataclass(frozen=True)
class ThreadBudget:
    """Threads for each engine in this process."""

    whisper: int
    llm: int
    onnx: int = 1
    voice: int = 1
    torch: int = 1


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_budget(available: int | None = None) -> ThreadBudget:
    """Divide the cores. Whisper and the language model rarely run at once for one caller, so each
    may use them all, up to where more threads stop helping models of this size.
    """
    available = available or cores()
    return ThreadBudget(whisper=min(available, 8), llm=min(available, 8))


def apply_process_limits(budget: ThreadBudget) -> None:
    """Set what libraries read once, before any of them is imported."""
    sys.setswitchinterval(GIL_SWITCH_INTERVAL_S)
    os.environ.setdefault("OMP_NUM_THREADS", str(budget.torch))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_ROUNDS))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
