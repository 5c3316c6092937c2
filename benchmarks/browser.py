"""The page in a real Chromium, which hears a file as its microphone and is listened to as a person
would: its sound is really played, only to nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from benchmarks.clips import SAMPLE_RATE_HZ, Clip, Samples, to_float

MICROPHONE_RATE_HZ = 48_000
ROOM_TONE = 1e-4
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-precise-memory-info",
)
STATE_WITHIN_MS = 60_000


def add_browser_option(parser: ArgumentParser) -> None:
    """--chromium PATH."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM") or "", *NAMES))
    path = next((name for name in found if name), None)
    parser.add_argument("--chromium", default=path, help=f"path of a Chromium ({path})")


def room(said: Iterable[tuple[float, Clip]], seconds: float) -> Samples:
    """What a microphone hears of clips that begin at these seconds: 24 kHz, with room tone."""
    tone = np.random.default_rng(0).normal(0, ROOM_TONE, int(seconds * SAMPLE_RATE_HZ))
    heard = tone.astype(np.float32)
    for at_s, clip in said:
        begin = int(at_s * SAMPLE_RATE_HZ)
        heard[begin : begin + clip.pcm.size] += to_float(clip.pcm)
    return heard


class Visit:
    """One page, from its opening on."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def talk(self) -> None:
        """Press the button, and wait until the server listens."""
        await self.page.locator("#toggle").click()
        await self.state("listening")

    async def state(self, *names: str) -> None:
        """Until the page is in one of these states."""
        wanted = ", ".join(f'body[data-state="{name}"]' for name in names)
        await self.page.wait_for_selector(wanted, timeout=STATE_WITHIN_MS)

    async def figures(self) -> dict[str, Any]:
        """What has gone through the call so far."""
        return dict(await self.page.evaluate("window.banter.audio"))

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type that are still kept: {at, from, event}."""
        select = "(kind) => window.banter.events.filter(({ event }) => event.type === kind)"
        return list(await self.page.evaluate(select, kind))

    async def saved(self) -> dict[str, Any]:
        """What a person gets who keeps the conversation as JSON."""
        await self.page.locator("#save-open").click()
        async with self.page.expect_download() as download:
            await self.page.locator('#save button[value="json"]').click()
        path = await (await download.value).path()
        kept = await asyncio.to_thread(Path(path).read_text, encoding="utf-8")
        return dict(json.loads(kept))


@asynccontextmanager
async def visit(url: str, chromium: str | None, heard: Samples) -> AsyncIterator[Visit]:
    """The page at an address, in a browser that hears these samples, once."""
    from playwright.async_api import async_playwright  # only who works on Banter has it

    if chromium is None:
        raise SystemExit("No Chromium was found; install one, or name it with --chromium.")
    with tempfile.TemporaryDirectory(prefix="banter-") as folder:
        file = Path(folder) / "microphone.wav"
        sound = soxr.resample(heard, SAMPLE_RATE_HZ, MICROPHONE_RATE_HZ)
        soundfile.write(file, sound, MICROPHONE_RATE_HZ, "PCM_16")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium,
                args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={file}%noloop"],
            )
            try:
                page = await browser.new_page()
                await page.goto(url)
                yield Visit(page)
            finally:
                await browser.close()
