"""Loading: what the folder holds is all that is asked for, and what is missing is said."""

from __future__ import annotations

import builtins
import json
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import perth
import pytest
from chatterbox.models.tokenizers import tokenizer

from realtime.engines.chatterbox.model import load, within
from realtime.engines.chatterbox.variant import variant_of
from realtime.errors import BanterError
from tests.chatterbox import weights


@pytest.fixture
def nobody_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whoever asks for a network gets none, and is noted."""
    asked: list[Any] = []

    def refuse(*address: Any, **rest: Any) -> None:
        asked.append(address)
        raise OSError("there is no network in this test")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return asked


@pytest.fixture
def folder(chatterbox_folders: dict[str, Path], tmp_path: Path) -> Path:
    """The multilingual model with two characters in its table, as Cangjie5_TC.json has them."""
    for path in chatterbox_folders["multilingual"].iterdir():
        (tmp_path / path.name).symlink_to(path)
    table = tmp_path / "Cangjie5_TC.json"
    table.unlink()
    table.write_text(json.dumps(["你\tonf", "好\tvnd", "号\trmvs", "號\trmvs"]))
    return tmp_path


def test_chinese_goes_through_the_table_in_the_folder(folder, nobody_calls):
    with weights.depth(small=True):
        model = load(folder, "cpu")
    convert: Any = model.package.tokenizer.cangjie_converter
    assert convert("你好, 號!") == (
        "[cj_o][cj_n][cj_f][cj_.][cj_v][cj_n][cj_d][cj_.], [cj_r][cj_m][cj_v][cj_s][cj_1][cj_.]!"
    )
    assert model.text_tokens("你好", "zh") != model.text_tokens("好你", "zh")
    assert nobody_calls == []
    assert tokenizer.hf_hub_download is huggingface_hub.hf_hub_download  # as it was


def test_a_finder_of_words_is_used_where_its_model_is_there(
    folder, nobody_calls, tmp_path, monkeypatch
):
    """spacy-pkuseg fetches one when it is made, whatever it is told about being offline."""

    def make() -> Any:
        if not home.is_dir():
            socket.create_connection(("github.com", 443))
        return SimpleNamespace(cut=lambda text: text)

    def read() -> str:
        with within(folder):
            convert: Any = tokenizer.ChineseCangjieConverter(folder)
        return str(convert("你好"))

    home = tmp_path / "pkuseg" / "spacy_ontonotes"
    monkeypatch.setitem(sys.modules, "spacy_pkuseg", SimpleNamespace(pkuseg=make))
    monkeypatch.setenv("PKUSEG_HOME", str(home.parent))
    assert read() == "[cj_o][cj_n][cj_f][cj_.][cj_v][cj_n][cj_d][cj_.]"
    assert nobody_calls == []
    home.mkdir(parents=True)
    assert read() == "[cj_o][cj_n][cj_f][cj_.] [cj_v][cj_n][cj_d][cj_.]"


def test_a_folder_with_two_models_is_asked_for_one(chatterbox_folders, tmp_path):
    """English and multilingual come from one repository, and lie in one folder."""
    for variant in ("english", "multilingual"):
        for path in chatterbox_folders[variant].iterdir():
            shutil.copy(path, tmp_path) if path.suffix == ".json" else None
        (tmp_path / variant_of(chatterbox_folders[variant]).weights).touch()
    assert variant_of(tmp_path, "multilingual").name == "multilingual"
    assert variant_of(tmp_path, "english").name == "english"
    with pytest.raises(BanterError, match="none of t3_turbo_v1"):
        variant_of(tmp_path, "turbo")
    with pytest.raises(BanterError, match="no Chatterbox model"):
        load(tmp_path / "nowhere", "cpu")


def test_without_the_package_or_its_watermark_it_says_what_to_install(
    chatterbox_folders, monkeypatch
):
    folder = chatterbox_folders["turbo"]
    with monkeypatch.context() as patch:
        patch.setattr(perth, "PerthImplicitWatermarker", None)
        with pytest.raises(BanterError, match=r"pip install 'setuptools<81'"):
            load(folder, "cpu")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("chatterbox"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "chatterbox.tts_turbo")
        patch.setitem(sys.modules, "chatterbox", None)
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(BanterError, match=r"pip install 'banter-voice\[chatterbox\]'"):
            load(folder, "cpu")
