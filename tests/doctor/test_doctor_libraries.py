"""Libraries that work, that lie and that crash: by what their probes said, and by real children."""

from __future__ import annotations

import ctypes.util
from pathlib import Path
from typing import Any

import pytest

from realtime.doctor import child, libraries, probe
from realtime.doctor.child import Probed
from realtime.doctor.finding import Level

TORCH: dict[str, Any] = {
    "installed": True,
    "version": "2.6.0+cu124",
    "cuda": "12.4",
    "available": True,
    "reason": "",
    "device": "NVIDIA L4",
    "cudnn": 90100,
    "computes": True,
}
CTRANSLATE2: dict[str, Any] = {
    "version": "4.8.5",
    "devices": 1,
    "types": ["bfloat16", "float16", "float32"],
    "library": "libcublas.so.12",
    "cublas": "found",
    "folder": "/venv/nvidia/cublas/lib",
}
WATERMARK: dict[str, Any] = {"chatterbox": "0.1.7", "setuptools": "80.9.0", "broken": ""}
NO_RESOURCES = "ModuleNotFoundError: No module named 'pkg_resources'"


@pytest.mark.parametrize(
    ("change", "needed", "level", "words"),
    [
        ({}, True, "ok", "computes on NVIDIA L4"),
        ({"installed": False}, True, "error", "not installed"),
        ({"installed": False}, False, "ok", "not installed"),
        ({"broken": "ImportError: libcudnn.so.9"}, True, "error", "libcudnn"),
        ({"cuda": None, "available": False}, True, "error", "processor alone"),
        ({"cuda": None, "available": False}, False, "ok", "do not use it"),
        ({"available": False, "reason": "driver too old"}, True, "error", "driver too old"),
        ({"computes": False, "reason": "no kernel image"}, True, "error", "no kernel image"),
        ({"computes": False, "reason": "no kernel image"}, False, "warning", "no kernel image"),
    ],
)
def test_torch(change: dict[str, Any], needed: bool, level: str, words: str) -> None:
    finding = libraries.torch(Probed(TORCH | change), needed)
    assert finding.level == level
    assert words in finding.seen


@pytest.mark.parametrize(
    ("change", "gpu", "level", "words"),
    [
        ({}, True, "ok", "libcublas.so.12 found"),
        ({"cublas": "after torch"}, True, "ok", "once torch is imported"),
        ({"cublas": "OSError: no such file"}, True, "error", "does not find libcublas.so.12"),
        ({"devices": 0, "types": [], "reason": "no driver"}, True, "error", "no driver"),
        ({"types": ["float32"]}, True, "error", "no float16"),
        ({"broken": "ImportError: libgomp"}, False, "error", "libgomp"),
        ({}, False, "ok", "on the processor"),
    ],
)
def test_ctranslate2(change: dict[str, Any], gpu: bool, level: str, words: str) -> None:
    finding = libraries.ctranslate2(Probed(CTRANSLATE2 | change), gpu)
    assert finding.level == level
    assert words in finding.seen


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"installed": False}, "error", "pip install 'banter-voice[chatterbox]'"),
        ({"cuda": None, "available": False}, "warning", "on the processor"),
        ({"available": False}, "warning", "on the processor"),
        ({"broken": "ImportError: libgomp"}, "error", "--force-reinstall torch"),
        ({}, "ok", "computes on NVIDIA L4"),
    ],
)
def test_torch_for_a_voice_without_a_gpu(change: dict[str, Any], level: str, words: str) -> None:
    finding = libraries.torch(Probed(TORCH | change), False, processor=True)
    assert finding.level == level
    assert words in f"{finding.seen} {finding.remedy}"


def test_cublas_is_looked_for_where_pip_has_put_it() -> None:
    missing = CTRANSLATE2 | {"cublas": "OSError: no such file"}
    finding = libraries.ctranslate2(Probed(missing), True)
    assert finding.remedy == "export LD_LIBRARY_PATH=/venv/nvidia/cublas/lib before the start"


@pytest.mark.parametrize(
    ("change", "needed", "level", "remedy"),
    [
        ({"marks": True}, True, "ok", ""),
        ({"chatterbox": None}, False, "ok", ""),
        ({"chatterbox": None}, True, "error", "pip install 'banter-voice[chatterbox]'"),
        ({"marks": False, "broken": NO_RESOURCES}, True, "error", "pip install 'setuptools<81'"),
        ({"marks": False, "broken": NO_RESOURCES}, False, "warning", "pip install 'setuptools<81'"),
        (
            {"marks": False, "broken": "ModuleNotFoundError: No module named 'librosa'"},
            True,
            "error",
            "pip install 'banter-voice[chatterbox]'",
        ),
    ],
)
def test_the_watermark(change: dict[str, Any], needed: bool, level: str, remedy: str) -> None:
    finding = libraries.watermark(Probed(WATERMARK | change), needed)
    assert (finding.level, finding.remedy) == (level, remedy)


async def test_perth_without_pkg_resources_is_seen_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """perth 1.0.1 itself swallows the error and sets its marker to None."""
    marker = tmp_path / "perth/perth_net/perth_net_implicit"
    marker.mkdir(parents=True)
    (marker / "perth_watermarker.py").write_text("import pkg_resources")
    (tmp_path / "pkg_resources.py").write_text("raise ModuleNotFoundError(__name__)")
    (tmp_path / "perth/__init__.py").write_text("PerthImplicitWatermarker = None")
    metadata = tmp_path / "chatterbox_tts-0.1.7.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: chatterbox-tts\nVersion: 0.1.7\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = libraries.watermark(await child.probe("watermark"), True)
    assert finding.level is Level.ERROR
    assert "pkg_resources" in finding.seen
    assert finding.remedy == "pip install 'setuptools<81'"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "killed by SIGILL"),
        ("import os; os._exit(3)", "status 3"),
        ("raise ImportError('libc10.so: cannot open')", "libc10.so"),
    ],
)
async def test_a_library_that_takes_its_process_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    (tmp_path / "torch.py").write_text(f"print('noise', flush=True)\n{source}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = libraries.torch(await child.probe("torch"), True)
    assert finding.level is Level.ERROR
    assert words in finding.seen
    if "killed" in words:
        assert "while it was at import torch" in finding.seen


def test_each_end_has_its_remedy() -> None:
    def remedy(trouble: str) -> str:
        return libraries.torch(Probed(trouble=trouble), True).remedy

    assert "another machine" in remedy("it was killed by SIGILL while it was at import torch")
    assert "memory" in remedy("it was killed by SIGKILL")
    assert "try again" in remedy("no answer within 45 s")
    assert "--force-reinstall torch" in remedy("it was killed by SIGSEGV")


def test_a_package_of_the_voice_comes_with_its_extra() -> None:
    def remedy(*broken: str) -> str:
        probed = Probed({"broken": dict.fromkeys(broken, "ModuleNotFoundError")})
        return libraries.packages(probed, broken).remedy

    assert remedy("chatterbox", "soundfile") == "pip install 'banter-voice[chatterbox]'"
    assert remedy("chatterbox", "onnx") == remedy("onnx") != remedy("chatterbox")


async def test_the_packages_of_this_environment() -> None:
    names = ("onnx", "no_such_package")
    finding = libraries.packages(await child.probe("packages", *names), names)
    assert finding.level is Level.ERROR
    assert finding.seen.startswith("no_such_package: ModuleNotFoundError")


def test_the_name_of_cublas_is_read_out_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "ctranslate2.libs").mkdir()
    library = tmp_path / "ctranslate2.libs/libctranslate2-1.so.9"
    library.write_bytes(b"\0" * 5_000 + b"libcublas.so.13\0")
    assert probe.cublas_name(tmp_path) == "libcublas.so.13"


def test_a_library_is_opened_by_its_name() -> None:
    name = ctypes.util.find_library("c")
    assert name is not None
    assert probe.cublas(name) == "found"
    assert "libno-such.so.1" in probe.cublas("libno-such.so.1")
