"""Words while somebody speaks: when they are asked for, what is told, and what costs nobody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.batching import PARTIAL
from realtime.engines import Utterance
from realtime.errors import Saturated
from realtime.metrics import Metrics
from realtime.partials import Partials
from tests.fakes import FakeTranscriber

STEP_S = 0.25


@dataclass
class Turn:
    """A turn that is spoken to `Partials`, in seconds."""

    transcriber: FakeTranscriber
    told: list[str] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sound: Int16 = field(default_factory=lambda: np.arange(40 * EAR_RATE_HZ).astype(np.int16))

    def __post_init__(self) -> None:
        self.partials = Partials(self.transcriber, owner="a", own=self.own, metrics=self.metrics)

    def own(self, work):
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    def begin(self, at_s: float = 0.0, **asked: object) -> None:
        self.partials.begin(
            int(at_s * EAR_RATE_HZ), Utterance(np.zeros(0, np.int16), **asked), self.told.append
        )

    def hear(self, to_s: float) -> None:
        self.partials.hear(int(to_s * EAR_RATE_HZ), lambda a, b: self.sound[a:b])

    async def speak(self, from_s: float, to_s: float) -> None:
        """Steps of 20 ms; each question is answered before the next step."""
        for step in range(round(from_s * 50) + 1, round(to_s * 50) + 1):
            self.hear(step / 50)
            await self.answered()

    async def answered(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)


@pytest.fixture
def spoken() -> Turn:
    return Turn(FakeTranscriber(["so my", "so my fellow", "so my fellow men"], spare=True))


async def test_words_are_told_as_they_hold(spoken):
    spoken.begin()
    await spoken.speak(0, 1)
    assert spoken.told == ["so my", " fellow"]
    assert spoken.partials.finish().finish("So my fellow Americans.") == " Americans."


async def test_every_step_asks_once_for_the_whole_turn(spoken):
    spoken.begin(1.0, language="en", prompt="Names: Tiro.")
    await spoken.speak(1, 2)
    asked = spoken.transcriber.asked
    assert [len(u.audio) / EAR_RATE_HZ for u in asked] == pytest.approx(
        [0.26, 0.52, 0.78], abs=0.03
    )
    assert all((u.rank, u.language, u.prompt) == (PARTIAL, "en", "Names: Tiro.") for u in asked)
    np.testing.assert_array_equal(asked[0].audio[:9], spoken.sound[EAR_RATE_HZ:][:9])


async def test_without_time_to_spare_nothing_is_asked(spoken):
    spoken.transcriber.spare = False
    spoken.begin()
    await spoken.speak(0, 3)
    assert spoken.transcriber.asked == []
    spoken.transcriber.spare = True
    await spoken.speak(3, 3.1)
    assert len(spoken.transcriber.asked) == 1


async def test_one_question_at_a_time(spoken):
    spoken.transcriber.gate = asyncio.Event()
    spoken.begin()
    await spoken.speak(0, 2)
    assert len(spoken.transcriber.asked) == 1
    spoken.transcriber.gate.set()
    await spoken.answered()
    await spoken.speak(2, 2.1)
    assert len(spoken.transcriber.asked) == 2


async def test_before_and_after_a_turn_nothing_is_asked(spoken):
    await spoken.speak(0, 1)
    spoken.begin(1.0)
    spoken.partials.finish()
    await spoken.speak(1, 2)
    assert spoken.transcriber.asked == []


async def test_an_answer_that_comes_after_the_turn_is_told_nobody(spoken):
    spoken.transcriber.texts = ["so my"]
    spoken.begin()
    await spoken.speak(0, 0.3)
    spoken.transcriber.gate = asyncio.Event()
    await spoken.speak(0.3, 0.7)
    spoken.partials.finish()
    spoken.begin(5.0)
    spoken.transcriber.gate.set()
    await asyncio.gather(*spoken.tasks, return_exceptions=True)
    assert spoken.told == []
    assert spoken.tasks[-1].cancelled()


@pytest.mark.parametrize("error", [Saturated("transcription", "too much waits")])
async def test_a_recogniser_that_refuses_costs_one_question(spoken, error):
    spoken.transcriber.texts = ["so my", error, "so my friend"]
    spoken.begin()
    await spoken.speak(0, 0.9)
    assert spoken.told == ["so my"]
    assert spoken.metrics.counts["partials.dropped"] == 1


async def test_an_answer_without_words_changes_nothing(spoken):
    spoken.transcriber.texts = ["so my", "", "so my friend"]
    spoken.begin()
    await spoken.speak(0, 0.9)
    assert spoken.told == ["so my"]


async def test_a_speculation_counts_as_a_hypothesis(spoken):
    spoken.transcriber.texts = ["so my fellow"]
    spoken.begin()
    await spoken.speak(0, 0.3)
    spoken.partials.add("So my fellow Americans.")
    assert spoken.told == ["So my fellow"]
    spoken.partials.add("")
    assert spoken.partials.finish().shown == "So my fellow"


async def test_a_long_turn_is_cut_once_and_goes_on_with_what_follows(spoken):
    longest_s = spoken.transcriber.reach.longest_s
    spoken.transcriber.texts = ["one two"]
    spoken.begin()
    await spoken.speak(longest_s - 0.3, longest_s)
    spoken.transcriber.texts = ["one two three", "four", "four five", "four five six"]
    spoken.transcriber.heard.clear()
    spoken.transcriber.asked.clear()
    await spoken.speak(longest_s, longest_s + 1.1)
    cut, *after = (len(u.audio) / EAR_RATE_HZ for u in spoken.transcriber.asked)
    assert cut <= longest_s
    assert all(seconds < longest_s - cut + 1.2 for seconds in after)
    assert "".join(spoken.told) == "one two three four five"


async def test_a_longer_step_asks_less_often(spoken):
    nothing = Utterance(np.zeros(0, np.int16))
    spoken.partials.begin(0, nothing, spoken.told.append, step=3 * EAR_RATE_HZ // 4)
    await spoken.speak(0, 2)
    assert [len(u.audio) / EAR_RATE_HZ for u in spoken.transcriber.asked] == [0.76, 1.52]
