"""What a person gets who installs the wheel: both packages, the page, the command, and no torch."""

from __future__ import annotations

import contextlib
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling import build

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "static"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    pyproject: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return dict(pyproject["project"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a wheel that the backend made from this tree, in well under a second."""
    folder = tmp_path_factory.mktemp("wheel")
    with contextlib.chdir(ROOT):
        name = build.build_wheel(str(folder))
    with zipfile.ZipFile(folder / name) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def test_every_module_is_in_the_wheel(wheel: dict[str, bytes]) -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("realtime", "bootstrap")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= wheel.keys()
    assert {"realtime/__main__.py", "bootstrap/__init__.py"} <= modules


def test_the_whole_page_is_in_the_wheel(wheel: dict[str, bytes]) -> None:
    page = {
        f"realtime/static/{path.relative_to(STATIC).as_posix()}": path.read_bytes()
        for path in STATIC.rglob("*")
        if path.is_file()
    }
    assert "realtime/static/index.html" in page
    assert page == {name: wheel[name] for name in wheel if name.startswith("realtime/static/")}


def test_nothing_else_is_in_the_wheel(wheel: dict[str, bytes]) -> None:
    tops = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"realtime", "bootstrap"}


def test_the_wheel_carries_the_licence_and_the_command(wheel: dict[str, bytes]) -> None:
    [licence] = [name for name in wheel if name.endswith("/licenses/LICENSE")]
    [commands] = [name for name in wheel if name.endswith("/entry_points.txt")]
    assert wheel[licence] == (ROOT / "LICENSE").read_bytes()
    assert b"banter = realtime.__main__:main" in wheel[commands]


def test_the_core_does_not_bring_torch(project: dict[str, Any]) -> None:
    heavy = re.compile(r"torch|nvidia|triton|tensorflow")
    core = {distribution(line) for line in project["dependencies"]}
    assert not [name for name in core | pinned("run.txt") if heavy.match(name)]


@pytest.mark.parametrize(("pins", "extra"), [("run.txt", None), ("dev.txt", "dev")])
def test_every_dependency_is_pinned(project: dict[str, Any], pins: str, extra: str | None) -> None:
    wanted = [*project["dependencies"]]
    if extra:
        wanted += project["optional-dependencies"][extra]
    missing = {distribution(line) for line in wanted} - pinned(pins)
    assert not missing, f"run `make lock`: requirements/{pins} lacks {missing}"


def test_the_tools_leave_the_server_as_it_was() -> None:
    """`make test` runs with the very versions that `make run` installs."""
    assert set(pin_lines("run.txt")) <= set(pin_lines("dev.txt"))


@pytest.mark.parametrize("pins", ["run.txt", "dev.txt", "clients.txt"])
def test_every_pin_has_a_hash_and_names_no_index(pins: str) -> None:
    text = (ROOT / "requirements" / pins).read_text()
    assert "://" not in text
    assert not re.search(r"^--|^-[a-z]", text, re.MULTILINE)
    for block in re.split(r"\n(?=\w)", text)[1:]:
        assert re.match(r"[\w.-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


def distribution(requirement: str) -> str:
    """`huggingface_hub>=1.0` and `huggingface-hub[x]` are both `huggingface-hub`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def pinned(pins: str) -> set[str]:
    return {distribution(line) for line in pin_lines(pins)}


def pin_lines(pins: str) -> list[str]:
    """`name==version`, without the markers: a dependant of the tools may widen those."""
    text = (ROOT / "requirements" / pins).read_text()
    return re.findall(r"^[\w.-]+==[^\s;\\]+", text, re.MULTILINE)
