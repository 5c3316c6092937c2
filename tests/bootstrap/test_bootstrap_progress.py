"""Progress: a bar on a terminal, lines in a log elsewhere, the state file for a probe."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path

import pytest

from bootstrap import state
from bootstrap.errors import BootstrapError
from bootstrap.progress import Progress, duration
from bootstrap.state import DOWNLOADING, State

MEGABYTE = 1_000_000


class Terminal(io.StringIO):
    """What is drawn on it stays readable."""

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(folder: Path, stream: io.StringIO, seconds: int, *, begun_bytes: int = 0) -> Progress:
    """A download of 100 MB at 2 MB a second, told ten times a second."""
    clock = Clock()
    progress = Progress(
        "model",
        100 * MEGABYTE,
        State(folder, "gpu", clock),
        DOWNLOADING,
        begun_bytes=begun_bytes,
        stream=stream,
        clock=clock,
    )
    for tick in range(seconds * 10 + 1):
        clock.now = 100.0 + tick / 10
        progress.update(begun_bytes + tick * MEGABYTE // 5)
    return progress


def test_log_has_a_line_every_five_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "banter.bootstrap")
    run(tmp_path, io.StringIO(), 12)
    assert [record.message for record in caplog.records] == [
        "model: 10.0 MB of 100.0 MB, 2.0 MB/s, 45 s left",
        "model: 20.0 MB of 100.0 MB, 2.0 MB/s, 40 s left",
    ]


def test_rate_does_not_count_what_was_there_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "banter.bootstrap")
    run(tmp_path, io.StringIO(), 5, begun_bytes=50 * MEGABYTE)
    assert caplog.messages == ["model: 60.0 MB of 100.0 MB, 2.0 MB/s, 20 s left"]


def test_terminal_has_a_bar_and_no_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 20)))
    caplog.set_level("INFO", "banter.bootstrap")
    terminal = Terminal()
    run(tmp_path, terminal, 30).clear()
    frames = terminal.getvalue().split("\r")
    assert any(frame.startswith("[############............]  50% 50.") for frame in frames)
    assert max(map(len, frames)) < 60
    assert frames[-2].strip() == "" == frames[-1]
    assert caplog.records == []


def test_state_file_follows_and_says_when_it_changed(tmp_path: Path) -> None:
    run(tmp_path, io.StringIO(), 12)
    said = json.loads((tmp_path / "bootstrap.json").read_text())
    assert said["state"] == "downloading"
    assert (said["done_bytes"], said["total_bytes"]) == (20 * MEGABYTE, 100 * MEGABYTE)
    assert said["changed_at"] == 110.0
    assert said["pid"] == os.getpid()


def test_state_file_is_rewritten_only_when_it_changes(tmp_path: Path) -> None:
    told = State(tmp_path, "gpu")
    told.say(state.CHECKING)
    first = (tmp_path / "bootstrap.json").stat()
    told.say(state.CHECKING)
    assert (tmp_path / "bootstrap.json").stat().st_ino == first.st_ino
    told.say(state.CHECKING, done_bytes=1)
    assert (tmp_path / "bootstrap.json").stat().st_ino != first.st_ino


def test_state_file_tells_the_end(tmp_path: Path) -> None:
    def ended() -> dict[str, str]:
        said = json.loads((tmp_path / "bootstrap.json").read_text())
        return {name: said[name] for name in ("state", "cause", "remedy")}

    with State(tmp_path, "gpu").told():
        pass
    assert ended() == {"state": "complete", "cause": "", "remedy": ""}
    with pytest.raises(BootstrapError), State(tmp_path, "gpu").told():
        raise BootstrapError("No luck", "Try again")
    assert ended() == {"state": "failed", "cause": "No luck", "remedy": "Try again"}
    with pytest.raises(KeyboardInterrupt), State(tmp_path, "gpu").told():
        raise KeyboardInterrupt
    assert ended() == {"state": "stopped", "cause": "", "remedy": ""}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"state": "failed"}, "complete"),
        ({"state": "stopped"}, "complete"),
        ({"state": "downloading", "pid": 2**22 + 1}, "complete"),
        ({"state": "downloading"}, "downloading"),
        ({"state": "downloading", "pid": 2**22 + 1, "host": "another"}, "downloading"),
    ],
)
def test_complete_volume_outdates_the_word_of_a_run_that_is_over(
    tmp_path: Path, said: dict[str, object], expected: str
) -> None:
    path = tmp_path / "bootstrap.json"
    running = {"host": socket.gethostname(), "pid": os.getpid()}
    path.write_text(json.dumps({**running, **said}))
    state.correct(tmp_path, "gpu")
    assert json.loads(path.read_text())["state"] == expected
    before = path.stat()
    state.correct(tmp_path, "gpu")
    assert path.stat() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "failed"}'])
def test_state_file_of_somebody_else_is_left_alone(tmp_path: Path, text: str) -> None:
    state.correct(tmp_path, "gpu")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bootstrap.json").write_text(text)
    state.correct(tmp_path, "gpu")
    assert (tmp_path / "bootstrap.json").read_text() == text


def test_state_file_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    with State(tmp_path / "absent", "gpu").told():
        pass
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.4, "8 s"), (99.0, "99 s"), (170.0, "3 min"), (9000.0, "2 h")]
)
def test_duration_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
