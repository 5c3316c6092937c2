"""Pictures of every scene of the page, for docs/images.

python tests/page/screenshots.py docs/images --only speaking latency
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from conftest import CHROMIUM_NAMES, MAC_CHROME, bursts, launched
from mock_server import running_mock
from playwright.async_api import Browser
from scenes import SCENES, Scene, address

DESK = {"width": 960, "height": 640}
PHONE = {"width": 390, "height": 760}
TALL = {"width": 960, "height": 1080}
TALL_SCENES = ("latency", "settings", "cloning")
DARK = ("conversation", "latency", "settings")
ON_A_PHONE = ("ready", "conversation", "latency", "settings", "push-to-talk")
SETTLED_MS = 500
Picture = tuple[str, bytes]
WEBP = {"format": "webp", "quality": 82}


async def taken(
    browser: Browser, scene: Scene, *, scheme: str = "light", size: dict[str, int]
) -> bytes:
    """A picture of a page of its own."""
    context = await browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce")
    async with running_mock() as mock:
        page = await context.new_page()
        for script in scene.scripts:
            await page.add_init_script(script)
        await page.goto(address(scene, mock))
        await scene.play(page, mock)
        await page.wait_for_timeout(SETTLED_MS)
        devtools = await context.new_cdp_session(page)
        shot = await devtools.send("Page.captureScreenshot", WEBP)
        await context.close()
    return base64.b64decode(shot["data"])


async def take_all(chromium: str, microphone: Path, names: list[str]) -> AsyncIterator[Picture]:
    """The pictures of these scenes with the names of their files."""
    async with launched(chromium, microphone) as browser:
        for name in names:
            scene = SCENES[name]
            size = TALL if name in TALL_SCENES else DESK
            yield name, await taken(browser, scene, size=size)
            if name in DARK:
                yield f"{name}-dark", await taken(browser, scene, scheme="dark", size=size)
            if name in ON_A_PHONE:
                yield f"{name}-phone", await taken(browser, scene, size=PHONE)


async def write(folder: Path, chromium: str, microphone: Path, names: list[str]) -> None:
    async for name, picture in take_all(chromium, microphone, names):
        path = folder / f"{name}.webp"
        await asyncio.to_thread(path.write_bytes, picture)
        print(f"{path} ({len(picture) // 1000} kB)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of every state of the page.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    args = parser.parse_args()
    found = (shutil.which(name) for name in (*CHROMIUM_NAMES, MAC_CHROME))
    chromium = next((path for path in found if path), None)
    if chromium is None:
        raise SystemExit("No Chromium was found: make browser says what to install.")
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as heard:
        microphone = bursts(Path(heard) / "bursts.wav")
        asyncio.run(write(args.folder, chromium, microphone, args.only))


if __name__ == "__main__":
    main()
