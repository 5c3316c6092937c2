"""The committed page says what this run found. Comes last."""

from __future__ import annotations

import pytest

from tests.clients import compatibility


def test_the_page_says_what_this_run_found(request: pytest.FixtureRequest) -> None:
    """All of it after a whole run, and the cells that it looked at after a run of some tests."""
    found = dict(request.config.stash[compatibility.FOUND])
    if not found:
        pytest.skip("the other tests of this folder were not run")
    written = compatibility.read(compatibility.PAGE.read_text())
    expected = found if is_whole(request.config) else {**written, **found}
    if request.config.getoption("--write-compatibility"):
        compatibility.PAGE.write_text(compatibility.page(expected))
    differing = {cell for cell in {*written, *expected} if written.get(cell) != expected.get(cell)}
    assert compatibility.PAGE.read_text() == compatibility.page(expected), (
        f"{compatibility.PAGE.name} says otherwise of {sorted(differing) or 'a version'}"
    )


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests of this folder were asked for."""
    some = config.option.keyword or config.option.markexpr or config.option.deselect
    return not some and all(not arg.endswith(".py") and "::" not in arg for arg in config.args)
