"""Other libraries' folders: on the volume, and set before such a library is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import libraries

REPOSITORY = Path(libraries.__file__).parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, and none of the variables."""
    for name in list(os.environ):
        if name.startswith(("HF_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def logged_in(folder: Path) -> Path:
    token = folder / "token"
    folder.mkdir(parents=True)
    token.write_text("hf_x")
    return token


def test_everything_is_below_the_volume_whatever_was_set(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", "/elsewhere")
    libraries.point_at(Path("/data"))
    assert os.environ["HF_HOME"] == "/data/models/huggingface"
    assert os.environ["HF_HUB_CACHE"] == "/data/models/huggingface/hub"
    assert os.environ["TRANSFORMERS_CACHE"] == "/data/models/huggingface/hub"
    assert os.environ["TORCH_HOME"] == "/data/models/torch"
    assert "HF_TOKEN_PATH" not in os.environ


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("", ".cache/huggingface"),
        ("XDG_CACHE_HOME", "xdg/huggingface"),
        ("HF_HOME", "hf"),
    ],
)
def test_token_of_a_login_is_still_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(home / folder.removesuffix("/huggingface")))
    token = logged_in(home / folder)
    for _ in range(2):
        libraries.point_at(home / "volume")
        assert os.environ["HF_TOKEN_PATH"] == str(token)


def test_token_on_the_volume_or_in_a_variable_comes_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(home / ".cache/huggingface")
    with monkeypatch.context() as given:
        given.setenv("HF_TOKEN", "hf_y")
        libraries.point_at(home / "volume")
        assert "HF_TOKEN_PATH" not in os.environ
    monkeypatch.delenv("HF_HOME")
    logged_in(home / "volume/models/huggingface")
    libraries.point_at(home / "volume")
    assert "HF_TOKEN_PATH" not in os.environ


def test_offline_is_the_default_after_that_and_not_a_must(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries.stay_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    libraries.stay_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "0"


@pytest.mark.parametrize("module", ["bootstrap.__main__", "realtime.__main__"])
def test_nothing_imports_the_hub_before_the_folders_are_set(module: str) -> None:
    check = (
        f"import sys, {module}; print(sorted(set(sys.modules) & {{'huggingface_hub', 'torch'}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
