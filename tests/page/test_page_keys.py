"""The page of a real server that wants a key: without one it says so, with one it talks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import launched
from playwright.async_api import expect

from tests.conftest import run_server

pytestmark = pytest.mark.browser

KEY = "a-key-that-only-this-test-knows"


@pytest.fixture
def locked_url(models: dict[str, Path]) -> Iterator[str]:
    yield from run_server(
        "--replier", "echo", "--host", "0.0.0.0", "--api-keys", KEY, "--max-sessions", "2"
    )


async def test_the_page_asks_for_the_key_and_takes_it_from_its_address(
    locked_url: str, chromium: str, tmp_path: Path
) -> None:
    silence = tmp_path / "microphone.wav"
    soundfile.write(silence, np.zeros(48_000, np.float32), 48_000, "PCM_16")
    async with launched(chromium, silence) as browser:
        page = await browser.new_page()
        await page.goto(locked_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("#key=", timeout=10_000)

        await page.goto(f"{locked_url}/#key={KEY}")
        await page.reload()
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator("#word")).to_have_text("Listening", timeout=10_000)
        await expect(page.get_by_role("alert")).to_be_hidden()
