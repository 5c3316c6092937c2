"""The volume: full, read-only, in memory, without a name; and what is missing on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from bootstrap import BootstrapError, Plan
from bootstrap.plan import Model, PlannedFile, Wheel
from realtime.doctor import storage
from realtime.doctor.finding import Finding, Level
from realtime.doctor.mounts import Mount, holding, parse
from realtime.doctor.storage import Inventory, Volume

MODEL = Wheel("no-such-wheel", "1.0", 5_000_000, "0" * 64, (PlannedFile("m.bin", 7, "0" * 64),))
PLAN = Plan("embedded", (Model("whisper", MODEL, "m.bin"),))
COMPLETE = Inventory(present=("whisper (on the volume)",), missing=(), needed_bytes=0)
LACKING = Inventory(present=(), missing=("whisper (not there)",), needed_bytes=4_650_000_000)
FILL = "python -m bootstrap"


def volume(path: str = "/data", **change: object) -> Volume:
    facts = {"exists": True, "is_folder": True, "writable": True, "free_bytes": 10**10, **change}
    return Volume(path=Path(path), **{"mount": None, **facts})  # type: ignore[arg-type]


def examined(path: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in storage.look(path, lambda: PLAN)}


def test_an_empty_volume_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small disk of which 2 MB are left."""
    full = SimpleNamespace(total=20_000_000, used=18_000_000, free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    found = examined(tmp_path)
    assert found["disk"].level is Level.ERROR
    assert found["disk"].seen.startswith("0.00 GB free, 0.03 GB needed")
    assert "free 0.03 GB" in found["disk"].remedy
    assert found["models"].level is Level.WARNING
    assert f"--profile embedded --volume {tmp_path}" in found["models"].remedy


def test_an_empty_volume_with_room(tmp_path: Path) -> None:
    found = examined(tmp_path / "not" / "there" / "yet")
    assert found["volume"].level is Level.OK
    assert "it will be made" in found["volume"].seen
    assert found["models"].level is Level.WARNING
    assert "no-such-wheel 1.0 (not there)" in found["models"].seen
    assert found["disk"].level is Level.OK
    assert not (tmp_path / "not").exists()


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    examined(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_last_attempt_is_told(tmp_path: Path) -> None:
    said = {"state": "failed", "cause": "401 from the hub", "remedy": "Set HF_TOKEN"}
    state = storage.bootstrap_layout.state_path(tmp_path)
    state.write_text(json.dumps(said))
    models = examined(tmp_path)["models"]
    assert "401 from the hub" in models.seen
    assert models.remedy == "Set HF_TOKEN"
    state.write_text(
        json.dumps(
            {"state": "downloading", "done_bytes": 10**9, "total_bytes": 4 * 10**9, "pid": 7}
        )
    )
    assert "process 7" in examined(tmp_path)["models"].seen
    state.write_text("[")
    assert examined(tmp_path)["models"].seen == "missing: no-such-wheel 1.0 (not there)"


def test_a_file_in_the_place_of_the_volume(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert examined(tmp_path / "data")["volume"].level is Level.ERROR


def test_a_volume_that_cannot_be_written_to() -> None:
    enough = storage.judge_volume(volume(writable=False), True, FILL)
    lacking = storage.judge_volume(volume(writable=False), False, FILL)
    assert (enough.level, lacking.level) == (Level.OK, Level.ERROR)
    assert FILL in lacking.remedy


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that root cannot write to")
def test_a_folder_that_takes_no_file_is_found_out() -> None:
    assert not storage.gather(Path("/proc")).writable


def test_a_plan_or_a_volume_that_there_is_not() -> None:
    def fail() -> Plan:
        raise BootstrapError("Unknown Whisper model 'huge'", "Name one of: tiny")

    [finding] = storage.look(None, fail)
    assert (finding.level, finding.remedy) == (Level.ERROR, "Name one of: tiny")


def test_the_size_of_something_may_be_unknown() -> None:
    unsure = Inventory((), ("owner/name@main (not there)",), 16_000_000, sizes_known=False)
    assert "whose size only the hub knows" in storage.judge_space(volume(), unsure).seen
    assert storage.judge_space(volume(free_bytes=0), COMPLETE).level is Level.OK
    assert storage.judge_space(volume(free_bytes=4_640_000_000), LACKING).level is Level.ERROR


TABLE = r"""22 1 0:40 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l
30 22 8:1 /var/lib/docker/volumes/HASH/_data /data rw,relatime master:2 - ext4 /dev/sda1 rw
31 22 8:1 /var/lib/docker/volumes/V.4711/_data /models rw - ext4 /dev/sda1 rw
32 22 0:50 / /dev/shm rw,nosuid - ext4 shm rw
33 32 0:51 / /dev/shm rw,nosuid - tmpfs shm rw
34 22 8:2 / /my\040disk rw - xfs /dev/sdb rw
nonsense
""".replace("HASH", "3f" * 32)


@pytest.mark.parametrize(
    ("folder", "level", "words"),
    [
        ("/srv/models", "warning", "goes with the container"),
        ("/database", "warning", "overlay mounted at /:"),
        ("/data", "warning", "without a name"),
        ("/data/below", "warning", "mounted at /data"),
        ("/models", "ok", "ext4 mounted at /models"),
        ("/dev/shm/x", "warning", "memory"),
        ("/my disk", "ok", "xfs mounted at /my disk"),
    ],
)
def test_whether_a_disk_lasts(folder: str, level: str, words: str) -> None:
    found = storage.judge_mount(volume(folder, mount=holding(Path(folder), parse(TABLE))))
    assert found.level == level
    assert words in found.seen


def test_a_system_without_a_table_of_mounts() -> None:
    assert storage.judge_mount(volume()).level is Level.OK
    assert holding(Path("/data"), []) is None
    assert holding(Path("/data"), [Mount("/", "ext4", "/")]) == Mount("/", "ext4", "/")
