"""Fixtures: a made-up plan, an index that serves it to the real pip, and the command as a child."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_hub import Hub
from fake_index import WAIT_S, Index, make_plan, plan_to_json
from small_models import hub_plan

import bootstrap
import bootstrap.hub as bootstrap_hub
from bootstrap.plan import Plan

HERE = Path(__file__).parent
REPOSITORY = Path(bootstrap.__file__).parents[1]

Command = Callable[..., list[str]]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the index serves."""
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="session")
def plan(wheels: Path) -> Plan:
    """A plan whose wheels are in the index."""
    return make_plan(wheels)


@pytest.fixture(scope="session")
def running_index(wheels: Path) -> Iterator[Index]:
    index = Index(wheels)
    yield index
    index.close()


@pytest.fixture
def index(running_index: Index, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index, and pip told to use nothing else by the variables that pip itself reads."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", running_index.url)
    monkeypatch.setenv("PIP_RETRIES", "0")
    running_index.reset()
    yield running_index
    running_index.release()


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """`ensure` points this process at the test's volume; the next test is not to notice."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def hub(running_hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub, and the client told to use nothing else by the variables that it reads itself."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", running_hub.url)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setattr(bootstrap_hub, "ATTEMPTS", 3)
    monkeypatch.setattr(bootstrap_hub, "DELAY_S", 0.05)
    running_hub.reset()
    yield running_hub
    running_hub.release()


@pytest.fixture(scope="session")
def fetched_once(running_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume that the real command filled from the hub."""
    folder = tmp_path_factory.mktemp("fetched")
    running_hub.reset()
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    (folder / "plan.json").write_text(plan_to_json(hub_plan()), encoding="utf-8")
    command = [sys.executable, str(HERE / "child.py"), str(folder / "plan.json")]
    subprocess.run(
        [*command, "--profile", "gpu", "--volume", str(folder / "volume")],
        check=True,
        timeout=WAIT_S,
        env={**own, "HF_ENDPOINT": running_hub.url, "PYTHONPATH": str(REPOSITORY)},
    )
    return folder / "volume"


@pytest.fixture
def fetched(fetched_once: Path, volume: Path) -> Path:
    """A complete volume of the test's own, links and all."""
    shutil.copytree(fetched_once, volume, symlinks=True)
    return volume


@pytest.fixture(scope="session")
def filled_once(plan: Plan, running_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume that the real command filled."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "plan.json").write_text(plan_to_json(plan), encoding="utf-8")
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": running_index.url}
    command = [sys.executable, str(HERE / "child.py"), str(folder / "plan.json")]
    subprocess.run(
        [*command, "--volume", str(folder / "volume")],
        check=True,
        timeout=WAIT_S,
        env={**own, **settings, "PYTHONPATH": str(REPOSITORY)},
    )
    return folder / "volume"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Where a volume may be made."""
    return tmp_path / "volume"


@pytest.fixture
def filled(filled_once: Path, volume: Path) -> Path:
    """A complete volume of the test's own."""
    shutil.copytree(filled_once, volume)
    return volume


@pytest.fixture
def command(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`command(*arguments, plan=...)`: the words that run `python -m bootstrap` as a child."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def build(*arguments: object, plan: Plan = plan) -> list[str]:
        written = tmp_path / "plan.json"
        written.write_text(plan_to_json(plan), encoding="utf-8")
        child = [sys.executable, str(HERE / "child.py"), str(written)]
        return [*child, *map(str, arguments)]

    return build


@pytest.fixture(scope="session")
def own_mounts() -> list[str]:
    """Words before a command that let it mount: even root cannot write to a read-only mount."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    prefix = ["unshare", *rights, "--mount"]
    probe = [*prefix, "mount", "-t", "tmpfs", "none", "/tmp"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("needs mounts of its own (unshare --mount), which this machine does not allow")
    return prefix
