"""The limit of open files: raised as far as it goes, and never lowered."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realtime.open_files import ENOUGH, raised

NONE = -1


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (1_024, 4_096, 4_096),
        (1_024, 10**9, ENOUGH),
        (256, NONE, ENOUGH),
        (10**6, 10**9, 10**6),
        (4_096, 4_096, 4_096),
        (NONE, NONE, NONE),
    ],
)
def test_what_is_asked_for(soft, hard, wanted):
    assert raised(soft, hard, NONE) == wanted


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_process_raises_its_own():
    said = """
import resource
from realtime.open_files import raise_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64)
"""
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "True"
