"""Ray is an extra: the default server neither imports nor needs it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

SEEN = """
import sys
sys.modules["ray"] = None  # whoever imports it fails
import realtime.__main__, realtime.runtime, realtime.server, realtime.cluster.command
import realtime.cluster.pools, realtime.cluster.deployment, realtime.cluster.access
assert not [name for name in sys.modules if name.startswith("ray.")]
"""


def test_the_whole_server_is_imported_without_ray() -> None:
    subprocess.run([sys.executable, "-c", SEEN], check=True, timeout=60)


def test_without_ray_engines_elsewhere_are_refused_with_the_remedy() -> None:
    if find_spec("ray"):
        pytest.skip("Ray is installed here")
    ended = subprocess.run(
        [sys.executable, "-m", "realtime", "--engines", "ray://127.0.0.1:1", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "banter-voice[cluster]" in ended.stderr
