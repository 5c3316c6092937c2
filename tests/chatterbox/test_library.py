"""Voices on the volume: made from real speech by the real encoders, kept, found again, refused."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
import torch
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from realtime.engines.chatterbox import conditionals as kept
from realtime.engines.chatterbox.clip_file import decode, encode
from realtime.engines.chatterbox.conditionals import PROMPT_TOKENS, Conditionals, from_package
from realtime.engines.chatterbox.enrolment import prepare
from realtime.engines.chatterbox.library import VoiceLibrary
from realtime.engines.chatterbox.model import Model
from realtime.engines.chatterbox.voice_folder import hash_of
from realtime.errors import BanterError, VoiceError, VoiceRefused
from realtime.voices import PATH, VoiceRoutes
from tests.client import DATA

RATE = 16_000


def speech(*names: str) -> np.ndarray:
    return np.concatenate([soundfile.read(DATA / f"{n}.flac", dtype="float32")[0] for n in names])


def wav(audio: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format="WAV")
    return file.getvalue()


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


JFK = wav(speech("jfk"))
LINDA = wav(speech("lj001_0004", "lj001_0016"))


@pytest.fixture
def model(chatterbox_models: dict[str, Model]) -> Model:
    return chatterbox_models["turbo"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "voices"


def tensors(voice: Conditionals) -> dict[str, torch.Tensor]:
    return dict(vars(voice))


def same(a: Conditionals, b: Conditionals) -> bool:
    return all(torch.equal(t, tensors(b)[name]) for name, t in tensors(a).items())


def state_of(package: Any) -> list[torch.Tensor]:
    conds = package.conds
    found = [*vars(conds.t3).values(), *conds.gen.values()]
    return [value.clone() for value in found if torch.is_tensor(value)]


async def test_voices_are_made_kept_and_found_again(model: Model, folder: Path) -> None:
    library = VoiceLibrary(folder, model)
    assert library.names() == ("default",)
    before, conds = state_of(model.package), model.package.conds
    about = await library.add("linda", LINDA, consent="in the public domain")
    await library.add("jfk", JFK)
    assert (about.name, about.seconds, about.consent) == ("linda", 10.41, "in the public domain")
    assert library.names() == ("default", "jfk", "linda")
    assert model.package.conds is conds
    assert all(map(torch.equal, state_of(model.package), before))
    linda, jfk, own = (library.get(name) for name in ("linda", "jfk", "default"))
    for name in tensors(linda):
        assert not torch.equal(tensors(linda)[name], tensors(jfk)[name])
        assert not torch.equal(tensors(linda)[name], tensors(own)[name])
    assert linda.prompt.shape[1] > 200  # of 375, from the 10 s that there are
    assert sorted(path.name for path in (folder / "linda").iterdir()) == [
        "clip.flac",
        "turbo.safetensors",
        "voice.json",
    ]
    again = VoiceLibrary(folder, model)
    assert again.describe() == library.describe()
    assert same(again.get("linda"), linda)
    assert same(again.get("jfk"), jfk)
    await library.remove("linda")
    assert library.names() == ("default", "jfk")
    assert names_in(folder) == ["jfk"]
    with pytest.raises(VoiceError, match="no voice 'linda'"):
        library.get("linda")


async def test_synthesis_may_go_on_beside_it(model: Model, folder: Path) -> None:
    """Enrolment runs on another thread than the voice: it may only touch what that leaves alone."""
    ran: set[str] = set()
    parts = {"t3": model.t3, "ve": model.package.ve} | dict(model.s3gen.named_children())
    hooks = [
        part.register_forward_hook(lambda *_, name=name: ran.add(name))
        for name, whole in parts.items()
        for part in whole.modules()
    ]
    try:
        await VoiceLibrary(folder, model).add("jfk", JFK)
    finally:
        for hook in hooks:
            hook.remove()
    assert ran == {"ve", "tokenizer", "speaker_encoder"}


async def test_a_clip_alone_is_a_voice_for_every_model(
    chatterbox_models: dict[str, Model], folder: Path, model: Model
) -> None:
    variant = "english"
    (folder / "by-hand").mkdir(parents=True)
    (folder / "by-hand" / "clip.wav").write_bytes(JFK)
    first = VoiceLibrary(folder, model).get("by-hand")
    other = VoiceLibrary(folder, chatterbox_models[variant])
    assert other.names() == ("default", "by-hand")
    assert other.get("by-hand").prompt.shape == (1, 150)
    assert same(VoiceLibrary(folder, model).get("by-hand"), first)
    written = sorted(path.name for path in (folder / "by-hand").iterdir())
    assert written == sorted(["clip.wav", "turbo.safetensors", f"{variant}.safetensors"])


async def test_a_file_that_is_not_this_voice_s_is_made_anew(
    model: Model, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = VoiceLibrary(folder, model)
    await library.add("jfk", JFK)
    await library.add("linda", LINDA)
    jfk, linda = library.get("jfk"), library.get("linda")
    path, clip = folder / "jfk" / "turbo.safetensors", folder / "jfk" / "clip.flac"
    whole, sha = path.read_bytes(), hash_of(clip.read_bytes())
    broken = Conditionals(**(tensors(jfk) | {"flow_mel": jfk.flow_mel * float("nan")}))
    short = Conditionals(**(tensors(jfk) | {"flow_mel": jfk.flow_mel[:, :10].clone()}))

    def spoil(how: str) -> None:
        match how:
            case "cut off":
                path.write_bytes(whole[: len(whole) // 2])
            case "a pickle":
                torch.save(tensors(jfk), path)
            case "another model's":
                jfk.save(path, variant="english", clip=sha)
            case "another clip's":
                path.write_bytes((folder / "linda" / "turbo.safetensors").read_bytes())
            case "no numbers":
                broken.save(path, variant="turbo", clip=sha)
            case "too short":
                short.save(path, variant="turbo", clip=sha)

    for how, says in {
        "cut off": "is damaged",
        "a pickle": "is damaged",
        "another model's": "has the variant 'english'",
        "another clip's": "has the clip",
        "no numbers": "flow_mel has values that no voice has",
        "too short": r"flow_mel is torch.float32 [1, 10, 80]",
    }.items():
        spoil(how)
        with pytest.raises(BanterError) as refused:
            kept.load(path, "cpu", variant="turbo", clip=sha)
        assert says in str(refused.value), how
    with caplog.at_level(logging.WARNING):
        again = VoiceLibrary(folder, model)
    assert "the voice jfk is made anew" in caplog.text
    assert same(again.get("jfk"), jfk)
    assert same(kept.load(path, "cpu", variant="turbo", clip=sha), jfk)
    clip.write_bytes((folder / "linda" / "clip.flac").read_bytes())
    assert same(VoiceLibrary(folder, model).get("jfk"), linda)


async def test_a_broken_voice_is_named_and_left_out(
    model: Model, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = VoiceLibrary(folder, model)
    await library.add("jfk", JFK)
    for name, clip in {
        "empty": None,
        "noise": wav(np.random.default_rng(0).normal(0, 0.1, 8 * RATE)),
        "short": wav(speech("ls_6930_0000")),
        "text": b"hello",
        "Upper": JFK,
        "default": JFK,
    }.items():
        (folder / name).mkdir()
        if clip:
            (folder / name / "clip.wav").write_bytes(clip)
    (folder / "stray.txt").write_text("not a voice")
    stale, fresh = folder / ".ann.0123abcd", folder / ".bob.0123abcd"
    for hidden in (stale, fresh):
        hidden.mkdir()
    os.utime(stale, (time.time() - 7_200,) * 2)
    with caplog.at_level(logging.WARNING):
        again = VoiceLibrary(folder, model)
    assert again.names() == ("default", "jfk")
    said = [record.getMessage() for record in caplog.records]
    for name, why in {
        "empty": "it has no clip",
        "noise": "no speech was found",
        "short": "holds 2.8 s of speech",
        "text": "no audio file that is known",
        "Upper": "small letters",
        "default": "the model's own",
    }.items():
        assert any(
            line.startswith(f"the voice {name} is left out") and why in line for line in said
        )
    assert (stale.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize(
    ("name", "clip", "code"),
    [
        ("default", JFK, "voice_protected"),
        ("../up", JFK, "invalid_name"),
        ("a/b", JFK, "invalid_name"),
        (".hidden", JFK, "invalid_name"),
        ("ann\n", JFK, "invalid_name"),
        ("Ann", JFK, "invalid_name"),
        ("", JFK, "invalid_name"),
        ("a" * 65, JFK, "invalid_name"),
        ("ann", b"RIFF but not really", "unsupported_audio"),
        ("ann", wav(speech("ls_6930_0000")), "unsuitable_clip"),
        ("ann", wav(np.zeros(9 * RATE)), "unsuitable_clip"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    model: Model, folder: Path, name: str, clip: bytes, code: str
) -> None:
    library = VoiceLibrary(folder, model)
    with pytest.raises(VoiceRefused) as refused:
        await library.add(name, clip)
    assert refused.value.code == code
    assert library.names() == ("default",)
    assert names_in(folder) == []


def out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


async def test_what_stands_in_the_way(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, other = VoiceLibrary(folder, model), VoiceLibrary(folder, model)

    async def code_of(doing: Any) -> str:
        with pytest.raises(VoiceRefused) as refused:
            await doing
        return refused.value.code

    with library._changing:
        assert await code_of(library.add("linda", LINDA)) == "busy"
    await library.add("jfk", JFK)
    assert await code_of(library.add("jfk", LINDA)) == "voice_exists"
    assert await code_of(other.add("jfk", LINDA)) == "voice_exists"  # another server's
    assert await code_of(other.remove("jfk")) == "voice_not_found"
    assert await code_of(library.remove("default")) == "voice_protected"
    assert await code_of(library.remove("nobody")) == "voice_not_found"
    monkeypatch.setattr("realtime.engines.chatterbox.library.MOST", 1)
    assert await code_of(library.add("linda", LINDA)) == "too_many_voices"
    monkeypatch.setattr("realtime.engines.chatterbox.library.MOST", 9)
    with monkeypatch.context() as full:
        full.setattr(type(model.package), "prepare_conditionals", out_of_memory)
        assert await code_of(library.add("linda", LINDA)) == "busy"
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
    assert await code_of(library.add("linda", LINDA)) == "storage_failed"
    monkeypatch.undo()
    assert names_in(folder) == ["jfk"]


def test_the_model_s_own_voice_is_copied_and_cut(model: Model) -> None:
    own, conds = from_package(model.package.conds), model.package.conds
    assert own.flow_tokens.shape == (1, PROMPT_TOKENS)
    assert torch.equal(own.flow_tokens, conds.gen["prompt_token"][:, :PROMPT_TOKENS])
    assert torch.equal(own.flow_mel, conds.gen["prompt_feat"][:, : 2 * PROMPT_TOKENS])
    theirs = {
        value.untyped_storage().data_ptr()
        for value in [*vars(conds.t3).values(), *conds.gen.values()]
        if torch.is_tensor(value)
    }
    assert not theirs & {t.untyped_storage().data_ptr() for t in tensors(own).values()}


def test_three_seconds_are_too_short_for_the_flow(chatterbox_models: dict[str, Model]) -> None:
    with pytest.raises(BanterError, match=r"3\.0 s of it could be read, 4 s are needed"):
        prepare(chatterbox_models["english"], speech("jfk")[: 3 * RATE], RATE)


def test_samples_of_64_bits_are_made_32_again(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NumPy 2 makes them of the package's own arithmetic; the tokenizer refuses them."""
    theirs = type(model.package).norm_loudness
    monkeypatch.setattr(
        type(model.package),
        "norm_loudness",
        lambda self, audio, rate: theirs(self, audio, rate).astype(np.float64),
    )
    assert prepare(model, speech("jfk"), RATE).flow_mel.dtype is torch.float32
    with pytest.raises(RuntimeError, match="Double but found Float"):
        copy.copy(model.package).prepare_conditionals(io.BytesIO(JFK))


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_any_rate_and_length_is_a_whole_number_of_tokens(
    model: Model, rate: int, caplog: pytest.LogCaptureFixture
) -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, int(5.017 * rate)).astype(np.float32)
    voice = prepare(model, audio, rate)
    assert voice.prompt.shape == (1, 126)
    assert "Reference mel length" not in caplog.text


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)])
def test_files_of_several_kinds_are_read(kind: str, subtype: str | None) -> None:
    file, audio = io.BytesIO(), speech("jfk")
    soundfile.write(file, np.stack([audio, audio], 1), RATE, format=kind, subtype=subtype)
    read, rate = decode(file.getvalue())
    assert rate == RATE
    assert abs(len(read) - len(audio)) < RATE / 10
    again, _ = decode(encode(read, rate))
    np.testing.assert_allclose(again, np.clip(read, -1, 1), atol=1e-4)


def test_a_rate_that_cannot_be_kept_is_refused() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(70_001, np.float32), 70_001, format="WAV")
    with pytest.raises(VoiceRefused, match="70001 Hz"):
        decode(file.getvalue())


async def test_over_http_from_end_to_end(model: Model, folder: Path) -> None:
    library = VoiceLibrary(folder, model)
    app = web.Application()
    app.router.add_routes(VoiceRoutes(library, keyed=True).routes())

    def form(name: str, clip: bytes) -> aiohttp.FormData:
        made = aiohttp.FormData({"name": name, "consent": "hers"})
        made.add_field("audio_sample", clip, filename="clip.wav")
        return made

    async with TestClient(TestServer(app)) as client:
        async with client.post(PATH, data=form("linda", LINDA)) as answer:
            assert answer.status == 200, await answer.text()
        async with client.post(PATH, data=form("ann", wav(speech("ls_6930_0000")))) as answer:
            assert answer.status == 422
            assert "holds 2.8 s of speech" in (await answer.json())["error"]["message"]
        async with client.post(PATH, data=form("../ann", LINDA)) as answer:
            assert answer.status == 400
        async with client.get(PATH) as answer:
            listed = await answer.text()
            assert [voice["id"] for voice in json.loads(listed)["data"]] == ["default", "linda"]
            assert "hers" not in listed
        for path, status in (
            (f"{PATH}/linda", 200),
            (f"{PATH}/linda", 404),
            (PATH + "/default", 403),
        ):
            async with client.delete(path) as answer:
                assert answer.status == status
    assert names_in(folder) == []
