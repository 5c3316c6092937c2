"""The page `docs/compatibility.md`: which client did what in a run of these tests."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
NODE = Path(__file__).parent / "node"

FEATURES = {
    "connect": "opens a session the way its documentation says",
    "text turn": "a written message is answered",
    "spoken turn": "speech is heard, transcribed, answered and spoken",
    "barge-in": "speech over a reply stops it, and is answered",
    "tool call": "a function is called, its result sent back and spoken of",
    "history": "items are created, retrieved, deleted and cut to what was heard",
    "reconnect": "the connection is replaced in mid-conversation and the history replayed",
    "transcription": "a session, or a service, that only transcribes",
    "REST": "models, transcriptions and speech over HTTP",
    "message forms": "every message of the server is valid by the client's own types",
}
"""Columns, and what each promises."""

HEAD = """# Compatibility

Other people's programs, unmodified, against the server on its embedded models and real speech.
`make test-clients` runs them and compares what it found with this page; \
`make test-clients PYTEST_ARGS=--write-compatibility` writes it.

"""

Cell = tuple[str, str]
"""A client and a feature."""

FOUND = pytest.StashKey[dict[Cell, bool]]()
"""Where a run keeps what it found so far."""


def versions() -> dict[str, str]:
    """The clients, in the order of the rows, each with its version here."""
    lock = json.loads((NODE / "package-lock.json").read_text())["packages"]

    def npm(name: str) -> str:
        return str(lock[f"node_modules/{name}"]["version"])

    return {
        "openai (Python)": version("openai"),
        "openai (Python), beta.realtime": version("openai"),
        "openai (npm 6)": npm("openai"),
        "openai (npm 7)": npm("openai-7"),
        "@openai/agents-realtime": npm("@openai/agents-realtime"),
        "openai-agents (Python)": version("openai-agents"),
        "pipecat-ai": version("pipecat-ai"),
        "livekit-plugins-openai": version("livekit-plugins-openai"),
        "WebSocket of browsers": "-",
    }


def page(found: dict[Cell, bool]) -> str:
    """The whole page; a cell that no test looked at is empty."""
    columns = [f for f in FEATURES if any(feature == f for _, feature in found)]
    rows = [f"| client | version | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for client, number in versions().items():
        cells = [{True: "yes", False: "**no**", None: ""}[found.get((client, f))] for f in columns]
        rows.append(f"| {client} | {number} | {' | '.join(cells)} |")
    meanings = [f"- **{feature}**: {FEATURES[feature]}" for feature in columns]
    return (
        HEAD
        + "\n".join(rows)
        + "\n\nAn empty cell was not looked at.\n\n"
        + ("\n".join(meanings) + "\n")
    )


def read(text: str) -> dict[Cell, bool]:
    """The cells of a page."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    if not lines:
        return {}
    columns = [c.strip() for c in lines[0].strip("|").split("|")][2:]
    found = {}
    for line in lines[2:]:
        client, _, *cells = [c.strip() for c in line.strip("|").split("|")]
        for feature, cell in zip(columns, cells, strict=True):
            if cell:
                found[client, feature] = cell == "yes"
    return found
