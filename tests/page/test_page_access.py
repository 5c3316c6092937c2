"""Nobody is shut out: axe looks at every state of the page, light and dark, and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPage
from mock_server import MockServer
from playwright.async_api import Page
from scenes import SCENES, address

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = {"serious", "critical"}
PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 800}

# Colours in the middle of a transition have a contrast that nobody is meant to read.
SETTLED = """
async () => {
  for (const animation of document.getAnimations()) {
    if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish();
  }
}
"""


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not there: make test-page brings it, with node 20 and npm")
    return AXE.read_text(encoding="utf-8")


async def violations(page: Page, axe: str) -> list[str]:
    """What axe finds serious or critical, with the elements that it means."""
    await page.evaluate(SETTLED)
    await page.evaluate(axe)
    found: dict[str, Any] = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:120] for node in rule['nodes']]}"
        for rule in found["violations"]
        if rule["impact"] in GRAVE
    ]


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)]
)
@pytest.mark.parametrize("name", SCENES)
async def test_axe_finds_nothing_grave(
    mock: MockServer, open_page: OpenPage, axe: str, name: str, scheme: str, size: dict[str, int]
) -> None:
    scene = SCENES[name]
    page = await open_page(
        address(scene, mock), scripts=scene.scripts, color_scheme=scheme, viewport=size
    )
    await scene.play(page, mock)
    assert await violations(page, axe) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]


async def test_axe_would_find_something(mock: MockServer, open_page: OpenPage, axe: str) -> None:
    page = await open_page(mock.url)
    await page.evaluate("document.getElementById('volume').labels[0].replaceWith('')")
    await page.evaluate("document.getElementById('label').textContent = ''")
    found = await violations(page, axe)
    assert any(rule.startswith("button-name") for rule in found)
