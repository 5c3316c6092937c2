"""Whole conversations through the page and a real server: what is said is heard, written, answered
aloud and understood again, and what goes wrong is told.

The server echoes, so that every word of an answer is known.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
import soxr
from conftest import launched
from playwright.async_api import Page, expect
from test_page import MAX_SILENCE_MS, PROBE, shows, until

from benchmarks.server import free_port
from tests.client import transcripts
from tests.conftest import ROOT, run_server

pytestmark = pytest.mark.browser

DATA = Path(__file__).parents[1] / "data"
TEXTS = transcripts()
RATE_HZ = 48_000
KEY = "a-key-that-only-this-test-knows"
SLOW_MS = 60_000
OPTIONS = ("--replier", "echo")

Said = Sequence[tuple[float, str]]


@pytest.fixture(scope="module")
def echoing(models: dict[str, Path]) -> Iterator[str]:
    yield from run_server(*OPTIONS)


def microphone(folder: Path, said: Said, seconds: float) -> Path:
    """What a microphone hears of clips that begin at these seconds."""
    heard = np.random.default_rng(0).normal(0, 1e-4, int(seconds * RATE_HZ)).astype(np.float32)
    for at_s, name in said:
        clip, rate_hz = soundfile.read(DATA / f"{name}.flac", dtype="float32")
        speech = soxr.resample(clip, rate_hz, RATE_HZ)
        begin = int(at_s * RATE_HZ)
        heard[begin : begin + len(speech)] += speech
    path = folder / "microphone.wav"
    soundfile.write(path, heard, RATE_HZ, "PCM_16")
    return path


@asynccontextmanager
async def visiting(
    url: str, chromium: str, folder: Path, said: Said = (), seconds: float = 5.0, *scripts: str
) -> AsyncIterator[Page]:
    """A page that was opened and does not talk yet; it ends without a complaint of its own."""
    async with launched(chromium, microphone(folder, said, seconds)) as browser:
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for script in scripts:
            await page.add_init_script(script)
        await page.goto(url)
        yield page
        assert errors == []


async def talk(page: Page) -> None:
    await page.get_by_role("button", name="Start talking").click()
    await expect(page.locator("#word")).to_have_text("Listening", timeout=SLOW_MS)


def user_lines(page: Page):
    return page.locator("#lines .user:not([aria-busy]) .text")


def reply_lines(page: Page):
    return page.locator("#lines .reply:not([aria-busy]) .text")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def share(expected: str, found: str) -> float:
    """Which part of the expected words was found."""
    wanted = words(expected)
    return sum(word in words(found) for word in wanted) / len(wanted)


async def save(page: Page, name: str, path: Path) -> Path:
    await page.locator("#save-open").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=name).click()
    await (await download.value).save_as(path)
    return path


async def read_back(url: str, sound: bytes) -> str:
    """What the server's own recogniser understands of a WAV file."""
    form = aiohttp.FormData({"model": "whisper-1"})
    form.add_field("file", io.BytesIO(sound), filename="reply.wav")
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/audio/transcriptions", data=form) as answer,
    ):
        return str((await answer.json())["text"])


def channel(path: Path, number: int, into: Path) -> bytes:
    """One side of a stereo file, as a file of its own."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        rate_hz = file.getframerate()
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    soundfile.write(into, both[:, number], rate_hz, "PCM_16")
    return into.read_bytes()


async def events(page: Page, kind: str) -> list[dict[str, Any]]:
    """What was said of one type, by either side, with the time: {at, from, event}."""
    found: list[dict[str, Any]] = await page.evaluate(
        "(kind) => window.banter.events.filter(({ event }) => event.type === kind)", kind
    )
    return found


async def test_a_conversation_is_written_spoken_and_understood(
    echoing: str, chromium: str, tmp_path: Path
) -> None:
    said = [(1.0, "vctk_p287_004_clean"), (14.0, "ls_6930_0000"), (25.0, "ls_1221_0002")]
    async with visiting(echoing, chromium, tmp_path, said, 60.0) as page:
        await talk(page)
        await expect(reply_lines(page)).to_have_count(3, timeout=SLOW_MS)
        await expect(page.locator("#word")).to_have_text("Listening", timeout=SLOW_MS)

        heard = await user_lines(page).all_text_contents()
        for (_, name), line in zip(said, heard, strict=True):
            assert share(TEXTS[name], line) >= 0.75, line
        shown = await reply_lines(page).all_text_contents()
        for line, reply in zip(heard, shown, strict=True):
            assert share(line, reply) == 1

        sound = await save(page, "Download the sound (WAV)", tmp_path / "both.wav")
        spoken = await read_back(echoing, channel(sound, 1, tmp_path / "reply.wav"))
        assert share(" ".join(shown), spoken) >= 0.75, spoken
        own = await read_back(echoing, channel(sound, 0, tmp_path / "user.wav"))
        assert share(" ".join(TEXTS[name] for _, name in said), own) >= 0.75, own

        await page.locator("#latency-open").click()
        await expect(page.locator("#latency table.turn")).to_have_count(3)
        timings = await events(page, "banter.turn.timing")
        assert len(timings) == 3
        for timing in (each["event"] for each in timings):
            order = [timing[f"{stage}_ms"] for stage in ("decision", "transcript", "text", "audio")]
            assert order == sorted(order)
        figures = await page.evaluate("window.banter.audio")
        assert figures["droppedChunks"] == figures["staleFrames"] == 0
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_an_interruption_is_silent_at_once_and_heard(
    echoing: str, chromium: str, tmp_path: Path
) -> None:
    said = [(1.0, "ls_mlx"), (10.5, "vctk_p287_004_clean")]
    async with visiting(echoing, chromium, tmp_path, said, 40.0, PROBE) as page:
        await talk(page)
        await shows_within(page, "Interrupted")
        await page.wait_for_timeout(2 * MAX_SILENCE_MS)
        started = (await events(page, "input_audio_buffer.speech_started"))[-1]["at"]
        loud = await page.evaluate(
            "window.heard.filter(([, peak]) => peak > 1e-3).map(([at]) => at)"
        )
        assert loud, "the reply was not heard at all"
        assert max(loud) - started < MAX_SILENCE_MS
        [truncate] = await events(page, "conversation.item.truncate")
        played_ms = max(loud) - min(loud)
        assert truncate["event"]["audio_end_ms"] == pytest.approx(played_ms, abs=250)
        last = user_lines(page).last
        await expect(last).to_contain_text("snake", timeout=SLOW_MS, ignore_case=True)
        await expect(reply_lines(page).last).to_contain_text("snake", timeout=SLOW_MS)


async def shows_within(page: Page, word: str) -> None:
    await expect(page.locator("#word")).to_have_text(word, timeout=SLOW_MS)


async def test_push_to_talk_hears_what_was_held_and_nothing_else(
    echoing: str, chromium: str, tmp_path: Path
) -> None:
    said = [(1.0, "ls_6930_0000"), (8.0, "vctk_p287_004_clean")]
    async with visiting(echoing, chromium, tmp_path, said, 30.0) as page:
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_label("Push to talk: only while").check()
        await page.get_by_role("button", name="Close the settings").click()
        await talk(page)
        await page.wait_for_timeout(6_000)  # the first clip goes by
        await page.keyboard.down("Space")
        await page.wait_for_timeout(8_000)
        await page.keyboard.up("Space")
        await expect(user_lines(page)).to_have_count(1, timeout=SLOW_MS)
        await expect(reply_lines(page)).to_have_count(1, timeout=SLOW_MS)
        [heard] = await user_lines(page).all_text_contents()
        assert share(TEXTS["vctk_p287_004_clean"], heard) >= 0.75
        assert "tents" not in words(heard)
        await until(page, "window.banter.audio.playedSamples > 24000")


async def test_what_is_written_is_answered_aloud(
    echoing: str, chromium: str, tmp_path: Path
) -> None:
    async with visiting(echoing, chromium, tmp_path) as page:
        await talk(page)
        await page.get_by_label("Write instead of speaking").fill("The moon is far away.")
        await page.keyboard.press("Enter")
        await expect(reply_lines(page)).to_have_text(["The moon is far away."], timeout=SLOW_MS)
        await shows_within(page, "Listening")
        await until(page, "window.banter.audio.playedSamples > 12000")


@asynccontextmanager
async def served(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server at a port of ours, until it is killed."""
    command = [sys.executable, "-m", "realtime", "--port", str(port), *OPTIONS]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()  # where it listens
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_server_that_was_killed_is_found_again_and_told_what_was_said(
    models: dict[str, Path], chromium: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served(port))
        page = await stack.enter_async_context(visiting(url, chromium, tmp_path))
        await talk(page)
        await page.get_by_label("Write instead of speaking").fill("My name is Ann.")
        await page.keyboard.press("Enter")
        await expect(reply_lines(page)).to_have_text(["My name is Ann."], timeout=SLOW_MS)
        await shows_within(page, "Listening")
        first.kill()
        await shows_within(page, "Reconnecting")
        await first.wait()
        await stack.enter_async_context(served(port))
        await shows_within(page, "Listening")
        await expect(page.get_by_role("alert")).to_be_hidden()
        told = await events(page, "conversation.item.create")
        again = [each["event"]["item"] for each in told[1:]]
        assert [item["role"] for item in again] == ["user", "assistant"]
        assert {part["text"] for item in again for part in item["content"]} == {"My name is Ann."}
        await page.get_by_label("Write instead of speaking").fill("And yours?")
        await page.keyboard.press("Enter")
        await expect(reply_lines(page).last).to_have_text("And yours?", timeout=SLOW_MS)


@pytest.fixture
def locked(models: dict[str, Path]) -> Iterator[str]:
    """A server with a key and one place."""
    yield from run_server(*OPTIONS, "--api-keys", KEY, "--max-sessions", "1")


async def test_a_wrong_key_and_a_full_server_are_told(
    locked: str, chromium: str, tmp_path: Path
) -> None:
    async with visiting(locked, chromium, tmp_path) as page:
        alert = page.get_by_role("alert")
        await page.get_by_role("button", name="Start talking").click()
        await expect(alert).to_contain_text("wants a key", timeout=SLOW_MS)
        for key in ("wrong", KEY):
            await page.locator("#key").fill(key)
            await page.keyboard.press("Enter")
            if key != KEY:
                await expect(alert).to_contain_text("does not accept this key", timeout=SLOW_MS)
        await shows_within(page, "Listening")
        assert KEY not in page.url

        assert page.context.browser is not None
        other = await page.context.browser.new_page()
        await other.goto(f"{locked}/#key={KEY}")
        await other.get_by_role("button", name="Start talking").click()
        full = other.get_by_role("alert")
        await expect(full).to_contain_text("server is full", timeout=SLOW_MS)
        await expect(full).to_contain_text(re.compile(r"\d+ s"))
        await shows(other, "Ready")


@pytest.mark.parametrize(
    ("without", "pattern"),
    [
        ("--use-fake-ui-for-media-stream", "microphone is blocked"),
        ("--use-fake-device-for-media-stream", "No microphone was found"),
    ],
)
async def test_a_browser_that_gives_no_microphone_says_why(
    echoing: str, chromium: str, tmp_path: Path, without: str, pattern: str
) -> None:
    silence = microphone(tmp_path, (), 1.0)
    async with launched(chromium, silence, without=(without,)) as browser:
        page = await browser.new_page()
        await page.goto(echoing)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text(pattern, timeout=SLOW_MS)
        await shows(page, "Ready")
