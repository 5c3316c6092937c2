"""Chatterbox's models of reduced depth, made once for a run and loaded once by whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("chatterbox")

from realtime.engines.chatterbox.model import Model, load  # noqa: E402
from tests.chatterbox import weights  # noqa: E402

THEIRS = ("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
"""Of torch, diffusers, transformers and librosa about one another, in versions that are pinned."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for rule in THEIRS:
                item.add_marker(pytest.mark.filterwarnings(rule))


class Folders(dict[str, Path]):
    """Variant -> the folder of its weights, which are made when they are first asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def __missing__(self, variant: str) -> Path:
        self[variant] = weights.make(self._root / variant, variant, small=True)
        return self[variant]


class Models(dict[str, Model]):
    """Variant -> the loaded model. It is shared: nobody leaves anything on it."""

    def __init__(self, folders: Folders) -> None:
        super().__init__()
        self._folders = folders

    def __missing__(self, variant: str) -> Model:
        with weights.depth(small=True):
            self[variant] = load(self._folders[variant], "cpu", variant)
        return self[variant]


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def chatterbox_folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("chatterbox"))


@pytest.fixture(scope="session")
def chatterbox_models(chatterbox_folders: Folders) -> Models:
    return Models(chatterbox_folders)


class Attentive(dict[str, Model]):
    """Variant -> a copy of the loaded model whose T3 hears what it reads."""

    def __init__(self, models: Models) -> None:
        super().__init__()
        self._models = models

    def __missing__(self, variant: str) -> Model:
        from tests.chatterbox.decoding import attentive

        self[variant] = attentive(self._models[variant])
        return self[variant]


@pytest.fixture(scope="session")
def attentive_models(chatterbox_models: Models) -> Attentive:
    return Attentive(chatterbox_models)
