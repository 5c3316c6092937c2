"""What a plan refuses to say."""

from __future__ import annotations

import pytest

import bootstrap
from bootstrap.plan import HubRepository, Model, PlannedFile, Wheel

A_FILE = PlannedFile("a", 1, "0" * 64)


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "C:/x", "a/./b"]
)
def test_path_that_could_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        PlannedFile(path, 1, "0" * 64)
    with pytest.raises(ValueError, match="path"):
        Model("whisper", Wheel("x", "1", 1, "0" * 64, ()), path)


@pytest.mark.parametrize(
    "name", ["", "x", "a/b/c", "../b", "a/..", "/b", "a/", "a b/c", "a--/../b"]
)
def test_name_that_is_not_a_repository_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="repository"):
        HubRepository(name, "main", patterns=("*",))


@pytest.mark.parametrize("revision", ["", "../main", "a b", "/etc", "-x"])
def test_revision_that_could_leave_its_folder_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        HubRepository("a/b", revision, patterns=("*",))


def test_repository_is_pinned_or_has_patterns() -> None:
    with pytest.raises(ValueError, match="either"):
        HubRepository("a/b", "main")
    with pytest.raises(ValueError, match="either"):
        HubRepository("a/b", "0" * 40, files=(A_FILE,), patterns=("*",))
    with pytest.raises(ValueError, match="commit"):
        HubRepository("a/b", "main", files=(A_FILE,))


def test_title_shows_enough_of_the_revision() -> None:
    assert HubRepository("a/b", "v1.2", patterns=("*",)).title == "a/b@v1.2"
    assert HubRepository("a/b", "0123456789" * 4, files=(A_FILE,)).title == "a/b@01234567"


def test_source_of_two_models_is_counted_once() -> None:
    wheel = Wheel("x", "1", 1, "0" * 64, (PlannedFile("x/a", 1, "0" * 64),))
    plan = bootstrap.Plan("p", (Model("one", wheel, "x"), Model("two", wheel, "x/a")))
    assert plan.sources == (wheel,)
