"""The package's own code: what Banter comes to in it loads weights as weights."""

from __future__ import annotations

from pathlib import Path

import chatterbox

from tests.security.test_sources import complaints

NOT_CALLED = {"vc.py"}
"""Voice conversion, which Banter has no use for."""


def test_upstream_runs_nothing_that_it_loads() -> None:
    package = Path(chatterbox.__file__).parent
    files = [path for path in sorted(package.rglob("*.py")) if path.name not in NOT_CALLED]
    assert len(files) > 30
    found = {path.name: complaints(path.read_text(encoding="utf-8")) for path in files}
    assert {name: bad for name, bad in found.items() if bad} == {}
