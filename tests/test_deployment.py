"""The image's health check as a story, and whether a deployment's files agree with each other."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from bootstrap.state import DOWNLOADING, FAILED, State
from bootstrap.volume import CONTAINER_VOLUME
from realtime.settings import OPTIONS

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NOW = 1_800_000_000.0
HOUR_S = 3_600.0


def script(name: str) -> ModuleType:
    """A program of docker/, as a module."""
    spec = importlib.util.spec_from_file_location(f"docker_{name}", ROOT / "docker" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


healthcheck = script("healthcheck")


def state(volume: Path, age_s: float, **said: Any) -> None:
    """What a bootstrap wrote `age_s` ago, by its own hand."""
    State(volume, "embedded", clock=lambda: NOW - age_s).say(**said)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def server(status: int = 200, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Something that answers `/health`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b'{"status":"so"}')

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as running:
        if tls is not None:
            running.socket = tls.wrap_socket(
                running.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def test_a_container_that_has_just_begun_is_healthy(closed_port: int, tmp_path: Path) -> None:
    assert healthcheck.check(closed_port, tmp_path, age_s=1, now=NOW) == (True, "starting")


def test_a_download_may_take_hours_while_it_moves(closed_port: int, tmp_path: Path) -> None:
    state(
        tmp_path, 8, state=DOWNLOADING, what="a model", done_bytes=5_000_000, total_bytes=90_000_000
    )
    healthy, line = healthcheck.check(closed_port, tmp_path, age_s=3 * HOUR_S, now=NOW)
    assert (healthy, line) == (True, "downloading a model: 5 of 90 MB")


def test_a_download_that_stands_still_is_not(closed_port: int, tmp_path: Path) -> None:
    state(tmp_path, 301, state=DOWNLOADING, what="a model", done_bytes=5, total_bytes=90)
    healthy, line = healthcheck.check(closed_port, tmp_path, age_s=HOUR_S, now=NOW)
    assert not healthy
    assert line == "the port is closed and nothing has moved for 301 s"


def test_a_failure_is_told_with_its_remedy(closed_port: int, tmp_path: Path) -> None:
    state(tmp_path, 2, state=FAILED, cause="The disk is full", remedy="Free some space")
    healthy, line = healthcheck.check(closed_port, tmp_path, age_s=60, now=NOW)
    assert (healthy, line) == (False, "bootstrap failed: The disk is full. Free some space.")


def test_a_failure_of_an_earlier_container_is_forgotten(closed_port: int, tmp_path: Path) -> None:
    state(tmp_path, HOUR_S, state=FAILED, cause="No network", remedy="Connect")
    assert healthcheck.check(closed_port, tmp_path, age_s=20, now=NOW)[0]
    assert not healthcheck.check(closed_port, tmp_path, age_s=301, now=NOW)[0]


def test_a_full_volume_leaves_five_minutes_to_load(closed_port: int, tmp_path: Path) -> None:
    state(tmp_path, 24 * HOUR_S, state="complete")
    assert healthcheck.check(closed_port, tmp_path, age_s=299, now=NOW)[0]
    assert not healthcheck.check(closed_port, tmp_path, age_s=301, now=NOW)[0]


@pytest.mark.parametrize("text", ["", "[1]", '{"state"', '{"state": 3, "changed_at": "noon"}'])
def test_what_cannot_be_read_is_no_state(closed_port: int, tmp_path: Path, text: str) -> None:
    (tmp_path / "bootstrap.json").write_text(text)
    assert healthcheck.check(closed_port, tmp_path, age_s=20, now=NOW) == (True, "starting")
    assert not healthcheck.check(closed_port, tmp_path, age_s=301, now=NOW)[0]


def test_an_open_port_answers_for_itself(tmp_path: Path) -> None:
    state(tmp_path, 2, state=FAILED, cause="Long ago", remedy="Nothing")
    for status, healthy in ((200, True), (503, False)):
        with server(status) as port:
            answer = healthcheck.check(port, tmp_path, age_s=60, now=NOW)
        assert answer == (healthy, f'{status} {{"status":"so"}}')


def test_a_server_with_a_certificate_is_asked_over_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=banter", "-keyout", str(key), "-out", str(certificate)]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        [openssl, "req", "-x509", "-nodes", *curve, *subject], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server(200, context) as port:
        assert healthcheck.check(port, tmp_path, age_s=60, now=NOW)[0]


def test_a_server_that_hangs_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        healthy, line = healthcheck.check(port, tmp_path, age_s=60, now=NOW)
    assert not healthy
    assert "did not answer" in line


def test_the_command_reads_its_environment(closed_port: int, tmp_path: Path) -> None:
    (tmp_path / "bootstrap.json").write_text(
        json.dumps({"state": "failed", "cause": "C", "remedy": "R", "changed_at": 32_503_680_000})
    )
    environment = {"BANTER_PORT": str(closed_port), "BANTER_VOLUME": str(tmp_path)}
    command = [sys.executable, "-S", str(ROOT / "docker" / "healthcheck.py")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "bootstrap failed: C. R.\n")


@pytest.mark.skipif(os.name != "posix", reason="the entrypoint is a shell script")
@pytest.mark.parametrize(
    ("given", "started"),
    [
        ([], "banter"),
        (["--replier", "echo"], "banter --replier echo"),
        (["banter", "doctor"], "banter doctor"),
        (["python", "-m", "bootstrap"], "python -m bootstrap"),
    ],
)
def test_the_entrypoint_starts_what_was_asked_for(
    tmp_path: Path, given: list[str], started: str
) -> None:
    for name in ("banter", "python"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename "$0")" "$@"\n')
    (tmp_path / "id").write_text("#!/bin/sh\necho 4321\n")  # nobody in particular, and not root
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BANTER_VOLUME": str(tmp_path)}
    command = ["/bin/sh", str(ROOT / "docker" / "start.sh"), *given]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{started}\n"


def test_the_entrypoint_can_be_executed() -> None:
    assert (ROOT / "docker" / "start.sh").stat().st_mode & stat.S_IXUSR


def copied() -> set[str]:
    """What the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


def admitted(path: str) -> bool:
    """Whether .dockerignore lets a path into the build; the last rule that fits decides."""
    verdict = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").rstrip("/").removeprefix("**/")
        parts = path.split("/")
        names = parts if "**/" in rule else ["/".join(parts[: n + 1]) for n in range(len(parts))]
        if any(fnmatchcase(name, pattern) for name in names):
            verdict = rule.startswith("!")
    return verdict


def test_the_build_is_given_what_it_copies_and_nothing_else() -> None:
    sources = copied()
    assert {"realtime", "docker/start.sh", "requirements/gpu.txt"} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert admitted(source), source
    tops = {source.split("/")[0] for source in sources}
    assert {path.name for path in ROOT.iterdir() if admitted(path.name)} == tops


@pytest.mark.parametrize(
    "path",
    [
        *(".git", ".venv/bin/python", "tests/data/jfk.flac", "benchmarks/LOG.md", ".env", "data/x"),
        *("realtime/__pycache__/server.cpython-311.pyc", "DEPLOYMENT.md", "docs/images/key.webp"),
    ],
)
def test_what_no_image_needs_stays_out_of_the_build(path: str) -> None:
    assert not admitted(path)


def test_the_dockerfile_says_what_the_code_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    defaults = {option.variable: option.default for option in OPTIONS}
    assert f'image.version="{project["version"]}"' in DOCKERFILE
    assert f"BANTER_PORT={defaults['BANTER_PORT']}" in DOCKERFILE
    assert f"EXPOSE {defaults['BANTER_PORT']}" in DOCKERFILE
    assert f"VOLUME {CONTAINER_VOLUME}" in DOCKERFILE
    assert f"BANTER_VOLUME={CONTAINER_VOLUME}" in DOCKERFILE
    # Debian's Python decides where packages lie, and the project has to run on it.
    assert set(re.findall(r"python(3\.\d+)", DOCKERFILE)) == {"3.11"}
    assert project["requires-python"] == ">=3.11"


def pins(name: str) -> dict[str, str]:
    """Package and version of a lock file for Python 3.11, where every line has to have a hash."""
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    found = {}
    for block in re.split(r"\n(?=\w)", text)[1:]:
        assert "--hash=sha256:" in block, block
        line = re.match(r"([\w.-]+)==([^\s;]+)(?: ; (.+?))? \\\n", block)
        assert line, block
        if "python_full_version >= '3.12'" not in (line[3] or ""):
            found[line[1]] = line[2]
    return found


def test_an_image_runs_what_was_tested() -> None:
    tested, cpu, gpu, built = (pins(f"{name}.txt") for name in ("run", "cpu", "gpu", "build"))
    assert "openai" in cpu.keys() & gpu.keys(), "--replier openai has to work in an image"
    assert {name: cpu.get(name) for name in tested.keys() - built.keys()}.items() <= cpu.items()
    assert {name: cpu[name] for name in tested.keys() & cpu.keys()}.items() <= tested.items()
    # Chatterbox wants numpy 1, and ml-dtypes goes with it.
    differs = {name for name in cpu.keys() & gpu.keys() if cpu[name] != gpu[name]}
    assert differs == {"numpy", "ml-dtypes"}
    assert gpu["numpy"].startswith("1.")


def test_the_gpu_image_has_one_cuda_and_no_more_of_it_than_it_needs() -> None:
    gpu = pins("gpu.txt")
    overrides = (ROOT / "requirements" / "gpu-overrides.txt").read_text()
    left_out = re.findall(r'^([\w.-]+) ; python_version < "3"$', overrides, re.MULTILINE)
    assert {"triton", "gradio", "nvidia-nccl-cu12"} <= set(left_out)
    assert not gpu.keys() & set(left_out)
    assert f"torch=={gpu['torch']}\n" in overrides
    assert gpu["torch"] == gpu["torchaudio"], "torchaudio's own library has to match torch"
    cuda = [name for name in gpu if name.startswith("nvidia-")]
    assert "nvidia-cublas-cu12" in cuda, "CTranslate2 opens libcublas.so.12"
    assert all(name.endswith("-cu12") for name in cuda)
    assert int(gpu["setuptools"].split(".")[0]) < 81, "perth imports pkg_resources"


def test_pruning_stops_where_a_package_has_changed(tmp_path: Path) -> None:
    prune = script("prune")
    (tmp_path / "numpy" / "core" / "tests").mkdir(parents=True)
    assert prune.found(tmp_path, "numpy/*/tests") == [tmp_path / "numpy" / "core" / "tests"]
    with pytest.raises(SystemExit, match="nothing is at onnx/backend/test"):
        prune.found(tmp_path, "onnx/backend/test")


def test_a_stub_fails_and_says_of_what_library_it_is() -> None:
    stubs = script("stubs")
    nccl = stubs.LIBRARIES[0]
    code = stubs.source(nccl, ["ncclAllReduce", "ncclGetErrorString", "ncclGetLastError"])
    assert code.splitlines() == [
        "int ncclAllReduce(void) { return 1; }",
        'const char *ncclGetErrorString(void) { return "libnccl.so.2 is not part of this image"; }',
        'const char *ncclGetLastError(void) { return "libnccl.so.2 is not part of this image"; }',
    ]
    sparse = [library.symbol for library in stubs.LIBRARIES if "cusparse" in library.soname]
    for name in ("cusparseCreate", "cusparseLtInit"):
        assert sum(bool(re.fullmatch(symbol, name)) for symbol in sparse) == 1


@pytest.mark.parametrize(
    ("name", "gpu"), [("docker-compose.yml", 1), ("docker-compose.cpu.yml", 0)]
)
def test_compose_keeps_the_volume_and_asks_for_a_key(name: str, gpu: int) -> None:
    service = yaml.safe_load((ROOT / name).read_text())["services"]["banter"]
    target = service["build"]["target"]
    assert f"AS {target}\n" in DOCKERFILE
    assert service["image"] == f"banter:{target}"
    assert service["volumes"] == [f"data:{CONTAINER_VOLUME}"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["environment"]["BANTER_API_KEYS"].startswith("${BANTER_API_KEYS:?")
    assert len(service.get("deploy", {}).get("resources", {}).get("reservations", {})) == gpu


@pytest.mark.parametrize(
    "name", ["DEPLOYMENT.md", "Dockerfile", "docker-compose.yml", "docker-compose.cpu.yml"]
)
def test_every_variable_that_is_named_is_a_setting(name: str) -> None:
    named = set(re.findall(r"\bBANTER_[A-Z_]+\b", (ROOT / name).read_text()))
    assert named
    assert named <= {option.variable for option in OPTIONS}


@pytest.mark.parametrize("name", ["DEPLOYMENT.md", "README.md"])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (ROOT / target.split("#")[0]).exists(), target


def test_an_instance_starts_the_image_and_not_a_shell() -> None:
    """vast.ai's command line takes SSH mode, without the entrypoint, unless told otherwise."""
    text = (ROOT / "DEPLOYMENT.md").read_text()
    commands = re.findall(r"^vastai create instance .+$", text, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        own_way = "--template_hash" in command or "--onstart-cmd" in command
        assert own_way or command.endswith(" --args"), command
        assert "/data" in command
