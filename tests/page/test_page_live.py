"""The page against the real server: a recorded voice is heard, written and answered aloud."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from conftest import launched
from playwright.async_api import expect

pytestmark = pytest.mark.browser

CLIP = Path(__file__).parents[1] / "data" / "vctk_p287_004_clean.flac"
EXPECTED_WORDS = {"small", "plastic", "snake", "frog", "kids"}
MICROPHONE_RATE_HZ = 48_000
SILENCE_BEFORE_S = 1
SILENCE_AFTER_S = 6
TURN_TIMEOUT_MS = 60_000


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """The clip as a microphone gives it: at 48 kHz, with a silence before and after."""
    clip, rate_hz = soundfile.read(CLIP, dtype="float32")
    speech = soxr.resample(clip, rate_hz, MICROPHONE_RATE_HZ)
    before, after = (
        np.zeros(seconds * MICROPHONE_RATE_HZ, np.float32)
        for seconds in (SILENCE_BEFORE_S, SILENCE_AFTER_S)
    )
    path = tmp_path / "microphone.wav"
    soundfile.write(path, np.concatenate([before, speech, after]), MICROPHONE_RATE_HZ, "PCM_16")
    return path


async def test_a_spoken_turn_is_answered_aloud(
    server_url: str, chromium: str, microphone: Path
) -> None:
    async with launched(chromium, microphone) as browser:
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(server_url)
        await page.get_by_role("button", name="Start talking").click()

        heard = page.locator("#lines .user:not([aria-busy]) .text")
        await expect(heard.first).not_to_be_empty(timeout=TURN_TIMEOUT_MS)
        words = re.findall(r"[a-z]+", " ".join(await heard.all_text_contents()).lower())
        assert set(words) >= EXPECTED_WORDS

        answer = page.locator("#lines .reply:not([aria-busy]) .text")
        await expect(answer.first).not_to_be_empty(timeout=TURN_TIMEOUT_MS)
        await expect(page.locator("#word")).to_have_text("Listening", timeout=TURN_TIMEOUT_MS)
        figures = await page.evaluate("window.banter.audio")
        assert figures["playedSamples"] > 0
        assert figures["outputLevel"] > 0.005
        assert figures["inputLevel"] > 0.005
        assert figures["droppedChunks"] == figures["staleFrames"] == 0
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert complaints == []
