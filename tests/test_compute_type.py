"""What the recogniser computes in: tried once, noted, and never a reason not to start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realtime.engines import compute_type as module
from realtime.engines.compute_type import compute_type, fastest
from realtime.errors import SettingsError


@pytest.mark.parametrize(
    ("took_s", "best"),
    [
        ({"int8": 0.10, "float32": 0.20}, "int8"),
        ({"int8": 0.20, "float32": 0.10}, "float32"),
        ({"int8": 0.100, "float32": 0.095}, "int8"),
    ],
)
def test_the_first_kind_stays_unless_another_is_clearly_faster(took_s, best):
    assert fastest(list(took_s), took_s.__getitem__) == best


def test_a_kind_that_fails_is_left_out():
    def seconds(kind: str) -> float:
        if kind == "int8":
            raise ValueError("not on this machine")
        return 1.0

    assert fastest(["int8", "float32"], seconds) == "float32"
    assert fastest(["int8"], seconds) == "int8"


def test_the_real_model_is_tried_once_and_the_verdict_is_noted(models, tmp_path, monkeypatch):
    tried = []
    measure = module._seconds
    monkeypatch.setattr(module, "_seconds", lambda *a, **k: tried.append(a[1]) or measure(*a, **k))
    notes = tmp_path / "compute.json"
    found = [
        compute_type("auto", models["whisper"], device="cpu", threads=1, notes=notes)
        for _ in range(2)
    ]
    assert found[0] == found[1] in ("int8", "float32")
    assert sorted(tried) == ["float32", "int8"]
    [(about, kind)] = json.loads(notes.read_text()).items()
    assert kind == found[0]
    assert models["whisper"].name in about
    assert list(tmp_path.iterdir()) == [notes]


@pytest.mark.parametrize("spoilt", ["", "[]", "{", '{"x": 3}'])
def test_spoilt_notes_are_replaced(models, tmp_path, monkeypatch, spoilt):
    monkeypatch.setattr(module, "_seconds", lambda path, kind, **_: {"int8": 2.0}.get(kind, 1.0))
    notes = tmp_path / "compute.json"
    notes.write_text(spoilt)
    asked = compute_type("auto", models["whisper"], device="cpu", threads=1, notes=notes)
    assert asked == "float32"
    assert "float32" in json.loads(notes.read_text()).values()


def test_a_volume_that_cannot_be_written_is_no_reason_to_stop(models, monkeypatch):
    monkeypatch.setattr(module, "_seconds", lambda path, kind, **_: 1.0)
    nowhere = Path("/nowhere/compute.json")
    assert compute_type("auto", models["whisper"], device="cpu", threads=1, notes=nowhere) == "int8"


def test_what_is_forced_is_not_tried(models, monkeypatch):
    monkeypatch.setattr(module, "_seconds", lambda *_, **__: pytest.fail("it was tried"))
    path = models["whisper"]
    assert compute_type("float32", path, device="cpu", threads=1) == "float32"
    assert compute_type("default", path, device="cpu", threads=1) == "int8"


def test_a_kind_that_the_device_lacks_is_refused_with_those_it_has(models):
    with pytest.raises(SettingsError, match=r"--whisper-compute.*'float16'; it has .*int8"):
        compute_type("float16", models["whisper"], device="cpu", threads=1)
