"""Fixtures: the mock server, and pages in a real Chromium that hears a file as its microphone."""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mock_server import MockServer, running_mock, tone
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
INSECURE_HOST = "banter.test"  # leads here, but is not localhost, so it gets no microphone
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
)

OpenPage = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def launched(
    chromium: str, microphone: Path, *, without: tuple[str, ...] = ()
) -> AsyncIterator[Browser]:
    """A browser with an empty profile, whose microphone plays a wav file once; `without` some of
    the options, it has no microphone, or does not give it."""
    args = [argument for argument in CHROMIUM_ARGS if argument not in without]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[*args, f"--use-file-for-fake-audio-capture={microphone}%noloop"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; $CHROMIUM, or the first that is installed."""
    names = (os.environ.get("CHROMIUM"), *CHROMIUM_NAMES, MAC_CHROME)
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium found: install one, or name its path in $CHROMIUM")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """One browser for all tests with the mock; each test has a context of its own in it."""
    microphone = bursts(tmp_path_factory.mktemp("microphone") / "bursts.wav")
    async with launched(chromium, microphone) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def mock() -> AsyncIterator[MockServer]:
    async with running_mock() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Opens a URL; `scripts` run before the page's own, the options are a context's."""
    contexts = []

    async def open_one(url: str, scripts: tuple[str, ...] = (), **options: Any) -> Page:
        contexts.append(await browser.new_context(**options))
        page = await contexts[-1].new_page()
        for script in scripts:
            await page.add_init_script(script)
        await page.goto(url)
        return page

    yield open_one
    for context in contexts:
        await context.close()


def bursts(path: Path) -> Path:
    """A minute of sound that swells and ebbs, as a microphone at 48 kHz would give it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(tone(4_000, hertz=440.0) * 30)
    return path
