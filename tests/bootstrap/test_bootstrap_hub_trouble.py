"""What can go wrong with a hub: what passes is tried again, the rest has a cause and a remedy.

Every row of the table is a run of the command against a hub of its own. They run side by side,
since each waits most of the time, and each has its own test.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_hub import Hub
from fake_index import WAIT_S, plan_to_json
from hub_stories import STORIES, Story
from small_models import FILES, VOICE
from volumes import broken, left_over, repository, root

import bootstrap
from bootstrap.plan import Model, Plan

HERE = Path(__file__).parent
AT_ONCE = 4


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str
    volume: Path
    hub: Hub


def tell(story: Story, folder: Path) -> Outcome:
    """Run the command for a story."""
    hub = Hub()
    story.prepare(hub)
    plan = Plan("gpu", (Model("voice", story.source),))
    folder.mkdir()
    (folder / "plan.json").write_text(plan_to_json(plan), encoding="utf-8")
    command = [sys.executable, str(HERE / "child.py"), str(folder / "plan.json")]
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [*command, "--profile", "gpu", "--volume", str(folder / "volume")],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={
            **own,
            "PYTHONPATH": str(Path(bootstrap.__file__).parents[1]),
            "XDG_CACHE_HOME": str(folder),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            **story.environment,
        },
    )
    return Outcome(done.returncode, done.stdout, done.stderr, folder / "volume", hub)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All stories, told side by side."""
    folder = tmp_path_factory.mktemp("stories")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = {
            story.name: pool.submit(tell, story, folder / str(number))
            for number, story in enumerate(STORIES)
        }
    found = {name: future.result() for name, future in told.items()}
    yield found
    for outcome in found.values():
        outcome.hub.close()


@pytest.mark.parametrize("story", [story for story in STORIES if story.cause], ids=str)
def test_what_does_not_pass_is_said_in_one_line(outcomes: dict[str, Outcome], story: Story) -> None:
    outcome = outcomes[story.name]
    last = outcome.err.splitlines()[-1]
    assert (outcome.status, outcome.out) == (1, ""), outcome.err
    assert last.startswith("bootstrap: ")
    assert "Traceback" not in outcome.err
    said = json.loads((outcome.volume / "bootstrap.json").read_text())
    assert said["state"] == "failed"
    assert_matches(story.cause, said["cause"])
    assert_matches(story.remedy, said["remedy"])
    assert last == f"bootstrap: {said['cause']}. {said['remedy']}."
    assert broken(outcome.volume) == []
    assert not list(repository(outcome.volume, VOICE).glob("manifest-*"))


@pytest.mark.parametrize("story", [story for story in STORIES if not story.cause], ids=str)
def test_what_passes_is_tried_again(outcomes: dict[str, Outcome], story: Story) -> None:
    outcome = outcomes[story.name]
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"voice: {root(outcome.volume, story.source.repository)}\n"
    assert_matches(story.said, outcome.err)
    assert broken(outcome.volume) == []
    assert left_over(outcome.volume) == []
    assert json.loads((outcome.volume / "bootstrap.json").read_text())["state"] == "complete"


@pytest.mark.parametrize(
    "name", ["other content", "other size", "lost file", "kind", "evil path", "evil commit"]
)
def test_what_the_listing_tells_is_refused_before_anything_is_fetched(
    outcomes: dict[str, Outcome], name: str
) -> None:
    assert outcomes[name].hub.fetched == []


def test_each_try_goes_on_where_the_last_one_broke_off(outcomes: dict[str, Outcome]) -> None:
    hub = outcomes["cut passes"].hub
    begins = [450_000, 675_000, 787_500, 843_750]
    assert hub.ranges["t3.safetensors"] == [f"bytes={begin}-" for begin in begins]
    assert hub.sent["t3.safetensors"] == 900_000


def test_what_had_arrived_before_a_failure_is_kept(outcomes: dict[str, Outcome]) -> None:
    volume = outcomes["stall"].volume
    [partial] = repository(volume, VOICE).glob("blobs/*.incomplete")
    assert partial.read_bytes() == FILES[VOICE]["t3.safetensors"][:450_000]


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text
