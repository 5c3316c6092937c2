"""Imports point one way: edge > session > engines > pure. Syntax trees are read, nothing is run.

A new module is given its layer in `LAYERS`. An import inside a function or under `TYPE_CHECKING`
counts like any other: a name that points upwards is a back edge wherever it stands.
"""

from __future__ import annotations

import ast
import graphlib
import textwrap
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("realtime", "bootstrap")

LAYERS = {
    "4 edge": (
        "supervisor drain"
        " __main__ server websocket rest rest.* runtime watchdog calibration guard steps tls lineup"
        " voices cors opening client_secrets certificate doctor.* doorway revoking key_file"
        " exposition metrics_routes open_files log_format tracing otlp_file"
        " cluster.command cluster.node cluster.access cluster.deployment cluster.replica"
        " cluster.router cluster.link"
    ),
    "3 session": (
        "recording session hearing speaker reply ear outbox response requests outputs calls"
        " transcript_log lifetime partials reading_ahead draft first_piece script"
        " speculation remainder turn_reporter stopwatch"
        " turn_timing listening ahead doubt idling kept loudspeaker asking"
    ),
    "2 engines": (
        "aside batcher threads huge_pages engines engines.*"
        " cluster.pools cluster.remote_transcriber cluster.remote_voice cluster.tokens"
    ),
    "1 pure": (
        "model_names dialect ephemeral signed_keys admission shares limits addresses attempts roles"
        " keyring"
        " capacity frames doctor keys"
        " client_events server_events turns sentences speakable conversation items audio"
        " session_config fair_queue batching slots settings errors metrics ids"
        " recognition hypothesis fallback formats"
        " playout thoughts deadlines edges reference_clip voice_choice wording"
        " symbol_words openai_error prompt history usage tools client_items order timing"
        " agreement allowance quiet_gain subtitles languages windowing transcription_body"
        " endpointing backchannel self_hearing"
        " faint_end stretch turn_report log_context metric_families"
        " fault restarts breaker"
        " cluster cluster.loads cluster.autoscale cluster.wire"
    ),
}
"""The modules of `realtime`, without that name; `realtime` itself holds a docstring and is pure."""

IMPURE = {
    *("asyncio", "threading", "subprocess", "socket", "time", "logging", "os", "argparse"),
    *("aiohttp", "torch", "ctranslate2", "onnxruntime"),
}
ALLOWED = {"realtime.settings": {"argparse", "os"}, "realtime.metrics": {"time"}}
"""What single modules of the pure layer may import all the same."""

Graph = dict[str, set[str]]


def test_imports_only_go_down() -> None:
    assert complaints(ROOT) == []


def test_no_imports_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_a_back_edge_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "realtime/turns.py", "from realtime.session import Session")
    plant(tmp_path, "realtime/session.py", "")
    assert complaints(tmp_path) == [
        "realtime.turns (1 pure) imports realtime.session (3 session), which is above it"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "import realtime.server",
        "from realtime import server",
        "from realtime.server import make_app",
        "from ..server import make_app",
        "from .. import server",
        "def load():\n    from realtime import server",
        "if TYPE_CHECKING:\n    import realtime.server as edge",
    ],
)
def test_a_back_edge_is_found_however_it_is_written(tmp_path: Path, line: str) -> None:
    plant(tmp_path, "realtime/engines/whisper.py", line)
    plant(tmp_path, "realtime/server.py", "")
    assert complaints(tmp_path) == [
        "realtime.engines.whisper (2 engines) imports realtime.server (4 edge), which is above it"
    ]


def test_down_and_sideways_are_allowed(tmp_path: Path) -> None:
    plant(tmp_path, "realtime/server.py", "import asyncio\nfrom realtime import session, websocket")
    plant(tmp_path, "realtime/websocket.py", "from realtime.client_events import decode")
    plant(tmp_path, "realtime/session.py", "from .turns import Turn")
    plant(tmp_path, "realtime/turns.py", "from realtime.audio import ms_to_samples")
    plant(tmp_path, "realtime/client_events.py", "import msgspec")
    plant(tmp_path, "realtime/audio.py", "import numpy as np")
    assert complaints(tmp_path) == []
    assert circle(tmp_path) == []


@pytest.mark.parametrize("line", ["import asyncio", "from time import sleep", "import os.path"])
def test_a_clock_or_a_loop_in_the_pure_layer_is_found(tmp_path: Path, line: str) -> None:
    plant(tmp_path, "realtime/turns.py", line)
    [complaint] = complaints(tmp_path)
    assert complaint.startswith("realtime.turns is pure and imports ")


def test_settings_may_read_the_environment(tmp_path: Path) -> None:
    plant(tmp_path, "realtime/settings.py", "import argparse\nimport os")
    plant(tmp_path, "realtime/metrics.py", "import time")
    assert complaints(tmp_path) == []


def test_a_module_without_a_layer_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "realtime/helpers.py", "")
    assert complaints(tmp_path) == [
        "realtime.helpers has no layer: give it one in LAYERS, tests/test_layers.py"
    ]


def test_bootstrap_stands_apart(tmp_path: Path) -> None:
    plant(tmp_path, "bootstrap/plan.py", "from realtime.errors import BanterError")
    plant(tmp_path, "realtime/errors.py", "")
    plant(tmp_path, "realtime/session.py", "import bootstrap.plan")
    plant(tmp_path, "realtime/__main__.py", "import bootstrap.plan")
    assert complaints(tmp_path) == [
        "bootstrap.plan imports realtime.errors; bootstrap knows nothing of realtime",
        "realtime.session (3 session) imports bootstrap.plan; only the edge may",
    ]


def test_a_circle_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "realtime/audio.py", "from realtime.turns import Turn")
    plant(tmp_path, "realtime/turns.py", "from realtime.audio import Frame")
    assert set(circle(tmp_path)) == {"realtime.audio", "realtime.turns"}


def plant(root: Path, path: str, source: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(textwrap.dedent(source))


def complaints(root: Path) -> list[str]:
    """Every import that points the wrong way, as a sentence."""
    ours, foreign = read_imports(root)
    found = []
    for module in sorted(ours):
        layer = layer_of(module)
        if layer is None:
            found.append(f"{module} has no layer: give it one in LAYERS, tests/test_layers.py")
            continue
        found += filter(None, (wrong_way(module, target) for target in sorted(ours[module])))
        if layer == "1 pure":
            impure = (foreign[module] & IMPURE) - ALLOWED.get(module, set())
            found += [f"{module} is pure and imports {name}" for name in sorted(impure)]
    return found


def wrong_way(module: str, target: str) -> str | None:
    layer, below = layer_of(module), layer_of(target)
    if layer is None or below is None:
        return None  # said once, about the module itself
    if layer == below == "apart":
        return None
    if layer == "apart":
        return f"{module} imports {target}; bootstrap knows nothing of realtime"
    if below == "apart":
        return (
            None if layer == "4 edge" else f"{module} ({layer}) imports {target}; only the edge may"
        )
    if below > layer:
        return f"{module} ({layer}) imports {target} ({below}), which is above it"
    return None


def layer_of(module: str) -> str | None:
    package, _, name = module.partition(".")
    if package == "bootstrap":
        return "apart"
    if not name:
        return "1 pure"
    for layer, patterns in LAYERS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return layer
    return None


def circle(root: Path) -> list[str]:
    try:
        graphlib.TopologicalSorter(read_imports(root)[0]).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def read_imports(root: Path) -> tuple[Graph, Graph]:
    """For each module of ours: which of ours it imports, and which top-level names of others."""
    files = {module_name(root, path): path for path in source_files(root)}
    ours: Graph = {}
    foreign: Graph = {}
    for module, path in files.items():
        names = imported_names(module, path)
        inside = {name for name in names if name.split(".")[0] in PACKAGES}
        ours[module] = {nearest(name, files) for name in inside} - {module}
        foreign[module] = {name.split(".")[0] for name in names - inside}
    return ours, foreign


def source_files(root: Path) -> list[Path]:
    return [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]


def module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(module: str, path: Path) -> set[str]:
    """Full dotted names; of `from a import b` both could be meant, so it is `a.b`."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
            base = [*(above if node.level else []), *([node.module] if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def nearest(name: str, modules: dict[str, Path]) -> str:
    """The module that a dotted name lies in: `realtime.turns.Turn` is in `realtime.turns`."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name
