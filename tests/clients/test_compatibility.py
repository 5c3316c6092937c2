"""The committed page says what this run found. Comes last."""

from __future__ import annotations

import pytest

from tests.clients import compatibility


def test_the_page_says_what_this_run_found(request: pytest.FixtureRequest) -> None:
    """All of it after a whole run, and the cells that it looked at after a run of some tests."""
    found = dict(request.config.stash[compatibility.FOUND])
    if not found:
        pytest.skip("the other tests of this folder were not run")
    if request.config.getoption("--write-compatibility"):
        compatibility.PAGE.write_text(compatibility.page(found))
    text = compatibility.PAGE.read_text()
    written = compatibility.read(text)
    differing = {cell: yes for cell, yes in found.items() if written.get(cell) != yes}
    assert not differing, f"{compatibility.PAGE.name} says otherwise of {sorted(differing)}"
    assert text == compatibility.page(written), "the page was changed by hand, or a version was"
