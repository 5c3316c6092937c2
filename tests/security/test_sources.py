"""What no line of the program may do: load what may run, or log what was said or is secret."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("realtime", "bootstrap", "benchmarks", "docker")
RUNS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
"""Modules that run what a file tells them to, when they read it."""


def calls(source: str) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def complaints(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [f"imports {name}" for name in names if name.split(".")[0] in RUNS]
    for call in calls(source):
        name, given = ast.unparse(call.func), {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            found.append("numpy.load with pickles")
        if name.endswith(("yaml.load", "yaml.unsafe_load")):
            found.append("yaml that makes objects")
    return found


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_nothing_is_loaded_that_may_run() -> None:
    assert len(sources()) > 100
    bad = {str(path): complaints(path.read_text(encoding="utf-8")) for path in sources()}
    assert {path: found for path, found in bad.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, map_location='cpu')",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_may_run_is_found(line: str) -> None:
    assert complaints(line)


def test_weights_are_loaded_as_weights() -> None:
    assert complaints("torch.load(path, map_location='cpu', weights_only=True)") == []
    assert complaints("np.load(path)") == []
