"""A browser's own WebSocket, whose only way to show a key is its subprotocols."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from tests.clients import node_program
from tests.clients.speech import FIRST, misheard, spoken
from tests.clients.wire import Wire

CLIENT = "WebSocket of browsers"
PROTOCOLS = ["realtime", "openai-insecure-api-key.none", "openai-agents-sdk.0.20.0"]
CHROMIUMS = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")


def url_of(site: str) -> str:
    return f"ws{site.removeprefix('http')}/v1/realtime?model=gpt-realtime"


def right(found: dict[str, Any]) -> bool:
    assert found["protocol"] == "realtime"
    assert not found["errors"]
    assert found["deltas"] > 10
    assert misheard(FIRST, found["heard"]) <= 0.15
    assert found["said"] == f"You said: {found['heard']}"
    return True


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_43_nodes_websocket_with_subprotocols(site: str, wire: Wire, tmp_path: Path) -> None:
    found = await node_program.run(
        "browser.mjs",
        url=url_of(site),
        protocols=PROTOCOLS,
        speech=node_program.speech(tmp_path),
    )
    assert right(found)
    [opened] = wire.opened()
    assert opened["protocols"].replace(" ", "") == ",".join(PROTOCOLS)


@pytest.mark.browser
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_43_chromiums_websocket_with_subprotocols(site: str, wire: Wire) -> None:
    chromium = next((path for name in CHROMIUMS if name and (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("no Chromium found: install one, or name its path in $CHROMIUM")
    turn = (node_program.NODE / "turn.mjs").read_text().removeprefix("export default ")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{site}/health")
        found = await page.evaluate(
            turn.strip().removesuffix(";"),
            {
                "url": url_of(site),
                "protocols": PROTOCOLS,
                "audio": base64.b64encode(spoken(FIRST)).decode(),
            },
        )
        await browser.close()
    assert right(found)
