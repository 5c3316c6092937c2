"""What the page shows and lets a person set, in a real Chromium, against the mock server."""

from __future__ import annotations

import io
import json
import re
import struct
import wave
from typing import Any

import pytest
from conftest import OpenPage
from mock_server import MockServer, tone
from playwright.async_api import Page, Route, expect
from test_page import (
    KEEP,
    audio,
    begin_reply,
    begin_speaking,
    complains,
    end_reply,
    send_audio,
    shows,
    start,
    until,
    user_turn,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
STAGES = ("decision_ms", "transcript_ms", "text_ms", "audio_ms")
PANEL_FILES = ("settings-panel.js", "cloning.js", "waterfall.js", "keeping.js", "wav.js")

# The browser asks for the microphone and gets its answer later.
HESITATING = """
const answered = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = async (wishes) => {
  await new Promise((resolve) => (window.allow = resolve));
  return answered(wishes);
};
"""

# No microphone is heard, and no context is open; needs KEEP.
LET_GO = """
streams.length > 0 && contexts.length > 0 && contexts.every(({ state }) => state === "closed") &&
  streams.every((stream) => stream.getTracks().every(({ readyState }) => readyState === "ended"))
"""

BLOCKED_STORAGE = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
}
"""


async def colour(page: Page, selector: str) -> str:
    found: str = await page.locator(selector).evaluate("(e) => getComputedStyle(e).color")
    return found


async def open_settings(page: Page) -> None:
    await page.get_by_role("button", name="Settings", exact=True).click()
    await expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


async def serve_voices(page: Page, *names: str, can_add: bool = False) -> list[dict[str, Any]]:
    """Answers for the server's HTTP endpoints; what was asked of them comes back as it is asked."""
    asked: list[dict[str, Any]] = []

    async def voices(route: Route) -> None:
        request = route.request
        if request.method == "POST":
            asked.append({"path": "voices", "body": request.post_data_buffer})
            return await route.fulfill(json={"id": "new"})
        data = [{"id": name} for name in names]
        await route.fulfill(json={"object": "list", "data": data, "can_add": can_add})

    async def speech(route: Route) -> None:
        asked.append({"path": "speech", "body": json.loads(route.request.post_data or "")})
        await route.fulfill(body=tone(100))

    async def models(route: Route) -> None:
        if route.request.method != "GET":
            return await route.fallback()
        names = ("loaded-llm", "loaded-voice", "gpt-realtime", "tts-1")
        await route.fulfill(json={"data": [{"id": name} for name in names]})

    await page.route("**/v1/audio/voices", voices)
    await page.route("**/v1/audio/speech", speech)
    await page.route("**/v1/models", models)
    return asked


async def updates(mock: MockServer, count: int) -> dict[str, Any]:
    """The session of the update number `count`."""
    session: dict[str, Any] = (await mock.receives("session.update", count))["session"]
    return session


async def timed_turn(page: Page, mock: MockServer, number: int, *times_ms: int | None) -> None:
    await user_turn(mock, f"Question {number}?", number)
    await begin_reply(mock, "An answer.", number)
    await send_audio(mock, 100, number)
    ids = {"item_id": f"user_{number}", "response_id": f"resp_{number}", "response_number": number}
    times = dict(zip(STAGES, times_ms, strict=True))
    await mock.say("banter.turn.timing", **ids, end_of_speech_ms=0, **times, speculated=number == 2)
    await end_reply(mock, "An answer.", number)
    await until(page, f"window.banter.turns.length === {number}")


# The transcript


async def test_partial_words_have_another_tone_until_they_are_final(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_1")
    await mock.say(DELTA, item_id="user_1", delta="How far is")
    await mock.say(DELTA, item_id="user_1", delta=" the moan")
    line = page.locator("#lines .user")
    await expect(line.locator(".text")).to_have_text("How far is the moan")
    await expect(line).to_have_attribute("aria-busy", "true")
    partial = await colour(page, "#lines .user .text")
    await mock.say(COMPLETED, item_id="user_1", transcript="How far is the moon?")
    await expect(line.locator(".text")).to_have_text("How far is the moon?")
    await expect(line).not_to_have_attribute("aria-busy", "true")
    assert await colour(page, "#lines .user .text") != partial


async def cut_after(mock: MockServer, heard: str) -> None:
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=5_000, item_id="user_2")
    await mock.receives("conversation.item.truncate")
    await mock.say("conversation.item.truncated", item_id="reply_1", audio_end_ms=1_000)
    content = [{"type": "output_audio", "transcript": heard}]
    await mock.say("conversation.item.retrieved", item={"id": "reply_1", "content": content})


async def test_what_was_not_heard_is_struck_through(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await begin_speaking(page, mock, "Well, it depends on much.")
    await cut_after(mock, "Well, it")
    cut = page.locator("#lines .cut")
    await expect(cut.locator("del")).to_have_text(" depends on much.")
    struck = await cut.locator("del").evaluate("(e) => getComputedStyle(e).textDecorationLine")
    assert struck == "line-through"
    await expect(cut.locator(".note")).to_have_text("interrupted")


async def test_a_reply_that_is_taken_up_again_is_not_struck_through(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await begin_speaking(page, mock, "Well, it depends on much.")
    await cut_after(mock, "Well, it")
    await expect(page.locator("#lines del")).to_have_count(1)
    await mock.say(COMPLETED, item_id="user_2", transcript="")
    await begin_reply(mock, "depends on much.", number=2)
    await expect(page.locator("#lines del")).to_have_count(0)
    lines = page.locator("#lines .reply .text")
    await expect(lines).to_have_text(["Well, it", "depends on much."])
    await expect(page.locator("#lines .cut .note")).to_have_text(re.compile("taken up again"))


async def test_a_function_call_is_shown_as_text(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    call = {"item_id": "call_1", "call_id": "c1", "name": "weather"}
    await mock.say("response.function_call_arguments.done", **call, arguments='{"city":"<b>Oslo"}')
    await expect(page.locator("#lines .tool .text")).to_have_text('weather({"city":"<b>Oslo"})')


async def test_one_can_write_instead_of_speaking(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    words = page.get_by_label("Write instead of speaking")
    await expect(words).to_be_hidden()
    await start(page, mock)
    await words.fill("  Hello <b>there</b> ")
    await words.press("Enter")
    create = await mock.receives("conversation.item.create")
    written = "Hello <b>there</b>"
    assert create["item"]["content"] == [{"type": "input_text", "text": written}]
    await mock.receives("response.create")
    await expect(page.locator("#lines .user .text")).to_have_text(written)
    await expect(words).to_have_value("")
    await words.press("Enter")
    await page.get_by_role("button", name="Send").click()
    assert len(mock.told("conversation.item.create")) == 1  # nothing is not sent


# What is kept


async def test_the_conversation_is_copied_and_downloaded(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, permissions=["clipboard-read", "clipboard-write"])
    await expect(page.get_by_role("button", name="Save")).to_be_hidden()
    await start(page, mock)
    await user_turn(mock, "How far is the moon?")
    await begin_reply(mock, "Far.")
    await send_audio(mock, 500)
    await end_reply(mock, "Far.")
    await until(page, "window.banter.audio.playedSamples === 12000")
    await shows(page, "Listening")
    await page.get_by_role("button", name="Stop").click()
    text = "You: How far is the moon?\nBanter: Far.\n"

    async def saved(name: str) -> tuple[str, bytes]:
        await page.get_by_role("button", name="Save").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name=name).click()
        file = await (await download.value).path()
        return (await download.value).suggested_filename, file.read_bytes()

    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Copy the text").click()
    await expect(page.locator("#said")).to_have_text("Copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == text
    name, content = await saved("Download as text")
    assert re.fullmatch(r"banter-\d{4}-\d\d-\d\d-\d{4}\.txt", name)
    assert content.decode() == text
    data = json.loads((await saved("Download as JSON"))[1])
    assert [line["text"] for line in data["lines"]] == ["How far is the moon?", "Far."]
    name, content = await saved("Download the sound")
    assert name.endswith(".wav")
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24_000, 2)
        samples = struct.unpack(f"<{2 * file.getnframes()}h", file.readframes(file.getnframes()))
    left, right = samples[::2], samples[1::2]
    assert max(left) > 3_000
    loud = [i for i, sample in enumerate(right) if abs(sample) > 300]
    assert loud[-1] - loud[0] == pytest.approx(12_000, abs=600)


async def test_what_cannot_be_saved_is_said(mock: MockServer, open_page: OpenPage) -> None:
    full = "URL.createObjectURL = () => { throw new Error('no room'); };"
    page = await open_page(mock.url, scripts=(full,))
    await start(page, mock)
    await user_turn(mock, "How far is the moon?")
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Download as text").click()
    await expect(page.locator("#said")).to_have_text("That could not be saved: no room")


# Settings


async def test_settings_are_kept_and_told_to_the_server(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await open_settings(page)
    await page.get_by_label("Instructions").fill("Speak like a pirate.")
    await page.get_by_label("Your turn ends").select_option("pause")
    pause = page.get_by_label(re.compile("^Pause"))
    await pause.fill("700")
    await expect(page.locator("#pause")).to_have_text("0.70 s")
    await page.get_by_label("Language you speak").select_option("de")
    await page.reload()
    await open_settings(page)
    await expect(page.get_by_label("Instructions")).to_have_value("Speak like a pirate.")
    await expect(pause).to_have_value("700")
    await page.keyboard.press("Escape")
    await start(page, mock)
    session = await updates(mock, 1)
    assert session["instructions"] == "Speak like a pirate."
    assert session["audio"]["input"] == {
        "transcription": {"model": "whisper-1", "language": "de"},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
    }
    await open_settings(page)
    await page.get_by_label("Your turn ends").select_option("meaning")
    await page.get_by_label("Eagerness").select_option("low")
    await expect(pause).to_be_hidden()
    session = await updates(mock, 3)
    detection = {"type": "semantic_vad", "eagerness": "low"}
    assert session["audio"]["input"]["turn_detection"] == detection
    await page.get_by_role("button", name="Reset").click()
    await expect(page.get_by_label("Instructions")).to_have_value("")
    session = await updates(mock, 4)
    assert session["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


async def test_the_settings_open_and_close_by_the_keyboard(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    button = page.get_by_role("button", name="Settings", exact=True)
    await button.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Settings")
    await expect(dialog).to_be_visible()
    assert await dialog.evaluate("(e) => e.contains(document.activeElement)")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(button).to_be_focused()


async def test_a_link_carries_settings_and_no_secret(mock: MockServer, open_page: OpenPage) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    page = await open_page(f"{mock.url}/#key=a-secret", permissions=allowed)
    assert await page.evaluate("location.href") == f"{mock.url}/"
    await open_settings(page)
    await page.get_by_label("Instructions").fill("Rhyme & sing #1.")
    await page.get_by_label("Your turn ends").select_option("meaning")
    await page.get_by_role("button", name="Copy a link").click()
    await expect(page.locator("#outcome")).to_have_text("The link was copied.")
    link: str = await page.evaluate("navigator.clipboard.readText()")
    assert "secret" not in link
    other = await open_page(link)
    assert await other.evaluate("location.href") == f"{mock.url}/"
    await expect(other.locator("#said")).to_have_text("Settings taken from the link.")
    assert await other.evaluate("localStorage.length") == 0  # not before the person changes one
    await open_settings(other)
    await expect(other.get_by_label("Instructions")).to_have_value("Rhyme & sing #1.")
    await expect(other.get_by_label("Your turn ends")).to_have_value("meaning")


async def test_storage_that_is_blocked_does_no_harm(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, scripts=(BLOCKED_STORAGE,))
    await open_settings(page)
    await page.get_by_label("Instructions").fill("Be brief.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await start(page, mock)
    assert (await updates(mock, 1))["instructions"] == "Be brief."


async def test_a_key_is_asked_for_and_kept_for_this_window(
    mock: MockServer, open_page: OpenPage
) -> None:
    mock.key = "a-secret"
    page = await open_page(mock.url)
    await expect(page.get_by_label("Key of this server")).to_be_hidden()
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, "wants a key")
    field = page.get_by_label("Key of this server")
    await expect(field).to_be_focused()
    await field.fill("another")
    await field.press("Enter")
    await complains(page, "does not accept this key")
    await expect(field).to_be_focused()
    await field.fill("a-secret")
    await page.get_by_role("button", name="Use this key").click()
    await shows(page, "Listening")
    await expect(field).to_be_hidden()
    assert "a-secret" not in await page.evaluate("location.href + JSON.stringify(localStorage)")
    await page.reload()
    await page.get_by_role("button", name="Start talking").click()
    await shows(page, "Listening")


# Voices


async def test_a_voice_is_chosen_and_heard(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    asked = await serve_voices(page, "default", "anna", "ben")
    await open_settings(page)
    voice = page.get_by_role("combobox", name="Voice")
    await expect(voice.locator("option")).to_have_text(["the server's own", "anna", "ben"])
    await voice.select_option("anna")
    await page.get_by_role("button", name="Hear it").click()
    await until(page, "document.getElementById('hear').disabled === false")
    assert asked[0]["body"]["voice"] == "anna"
    await expect(page.locator("#model")).to_have_text("loaded-llm, loaded-voice")
    await expect(page.locator("#cloning")).to_be_hidden()
    await expect(page.locator("#outcome")).to_have_text("")
    await page.keyboard.press("Escape")
    await start(page, mock)
    assert (await updates(mock, 1))["audio"]["output"] == {"voice": "anna"}


async def test_a_voice_that_is_gone_is_not_asked_for(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    await serve_voices(page, "default")
    await page.goto(f"{mock.url}/#voice=gone&instructions=Sing.")
    await open_settings(page)
    await expect(page.get_by_role("combobox", name="Voice")).to_be_hidden()  # there is only one
    await expect(page.get_by_role("button", name="Hear it")).to_be_visible()
    await expect(page.locator("[name=voice]")).to_have_value("")
    assert await page.evaluate("localStorage.length") == 0  # no person changed anything
    await page.keyboard.press("Escape")
    await start(page, mock)
    assert "output" not in (await updates(mock, 1))["audio"]


async def test_a_server_without_voices_offers_none(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await open_settings(page)
    await page.wait_for_timeout(200)
    await expect(page.get_by_role("button", name="Hear it")).to_be_hidden()
    await expect(page.locator("#cloning")).to_be_hidden()


async def test_a_voice_is_made_of_a_recording_with_consent(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    asked = await serve_voices(page, "default", "anna", can_add=True)
    await open_settings(page)
    await page.get_by_text("Add a voice").click()
    await page.get_by_role("textbox", name="Name").fill("new")
    add = page.get_by_role("button", name="Add this voice")
    await page.get_by_role("button", name="Record", exact=True).click()
    await expect(page.locator("#record")).to_have_text(re.compile(r"Stop recording \(1 s\)"))
    await page.locator("#record").click()
    await expect(page.locator("#clone-status")).to_have_text(re.compile(r"Recorded \d\.\d s\."))
    await page.get_by_label("Who agreed").fill("Me, today")
    await add.click()
    await page.wait_for_timeout(200)
    assert asked == []  # nobody has agreed
    await page.get_by_label("This is my own voice").check()
    await add.click()
    await expect(page.locator("#clone-status")).to_have_text("The voice new is there now.")
    body: bytes = asked[0]["body"]
    for part in (b'name="name"\r\n\r\nnew', b"Me, today", b"Content-Type: audio/wav"):
        assert part in body
    recorded = body[body.index(b"RIFF") :]
    seconds = struct.unpack("<I", recorded[40:44])[0] / 48_000
    assert 1.0 <= seconds <= 2.5
    assert max(struct.unpack("<24000h", recorded[44:48_044])) > 1_000


async def start_recording(page: Page) -> None:
    await open_settings(page)
    await page.get_by_text("Add a voice").click()
    await page.get_by_role("button", name="Record", exact=True).click()


async def test_a_recording_for_a_voice_is_no_turn_of_the_call(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await serve_voices(page, "default", can_add=True)
    await start(page, mock)
    await mock.hears_audio(9_600)
    await start_recording(page)
    await shows(page, "Muted")
    before = mock.audio_bytes
    await expect(page.locator("#record")).to_have_text(re.compile(r"Stop recording \(1 s\)"))
    assert mock.audio_bytes - before < 9_600  # what was under way
    await page.keyboard.press("Escape")
    await shows(page, "Listening")
    await mock.hears_audio(mock.audio_bytes + 9_600)


async def test_a_microphone_that_is_allowed_too_late_is_let_go(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP, HESITATING))
    await serve_voices(page, "default", can_add=True)
    await start_recording(page)
    await until(page, "window.allow !== undefined")
    await page.keyboard.press("Escape")
    await page.evaluate("window.allow()")
    await until(page, LET_GO)
    await expect(page.locator("#record")).to_have_text("Record")
    await expect(page.locator("#record")).to_be_enabled()


async def test_a_recording_that_cannot_begin_leaves_nothing_open(
    mock: MockServer, open_page: OpenPage
) -> None:
    broken = "AudioWorklet.prototype.addModule = async () => { throw new Error('no worklet'); };"
    page = await open_page(mock.url, scripts=(KEEP, broken))
    await serve_voices(page, "default", can_add=True)
    await start_recording(page)
    await expect(page.locator("#clone-status")).to_have_text("no worklet")
    await until(page, LET_GO)


# Controls of a call


async def test_mute_says_so_and_sends_nothing(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await mock.hears_audio(9_600)
    mute = page.get_by_role("button", name="Mute")
    await mute.click()
    await shows(page, "Muted")
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await page.wait_for_timeout(100)
    before = mock.audio_bytes
    await page.wait_for_timeout(300)
    assert mock.audio_bytes == before
    await mute.click()
    await shows(page, "Listening")
    await mock.hears_audio(before + 9_600)


async def test_push_to_talk_by_space_bar_and_pointer(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    hold = page.get_by_role("button", name="Hold to talk")
    await expect(hold).to_be_hidden()
    await page.get_by_role("button", name="Push to talk").click()
    assert (await updates(mock, 2))["audio"]["input"]["turn_detection"] is None
    await page.locator("#panel").focus()
    await page.keyboard.down("Space")
    await shows(page, "You are speaking")
    await mock.receives("input_audio_buffer.clear")
    before = mock.audio_bytes
    await mock.hears_audio(before + 14_400)
    await page.keyboard.up("Space")
    await mock.receives("input_audio_buffer.commit")
    await mock.receives("response.create")
    await mock.say("error", error={"type": "x", "message": "no reply here"})
    await shows(page, "Listening")

    await hold.hover()
    await page.mouse.down()
    await shows(page, "You are speaking")
    await page.mouse.up()
    await until(page, "window.banter.state !== 'hearing'")
    pressed = len(mock.told("input_audio_buffer.clear"))

    words = page.get_by_label("Write instead of speaking")
    await words.press_sequentially("a b")
    await expect(words).to_have_value("a b")
    assert await page.evaluate("window.banter.state") != "hearing"
    assert len(mock.told("input_audio_buffer.clear")) == pressed


async def test_the_space_bar_lets_go_whatever_else_is_pressed(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(f"{mock.url}/#pushToTalk=true")
    await start(page, mock)
    await page.locator("#panel").focus()
    await page.keyboard.down("Space")
    await shows(page, "You are speaking")
    await page.keyboard.down("Control")
    await page.keyboard.up("Space")
    await until(page, "window.banter.state !== 'hearing'")
    pressed = len(mock.told("input_audio_buffer.clear"))
    await page.keyboard.down("Space")  # with a modifier it is another key
    await page.wait_for_timeout(100)
    assert len(mock.told("input_audio_buffer.clear")) == pressed


async def test_push_to_talk_begins_at_the_button_to_hold(
    mock: MockServer, open_page: OpenPage
) -> None:
    """Else the space bar would press the button that ends the call."""
    page = await open_page(f"{mock.url}/#pushToTalk=true")
    await page.locator("#toggle").focus()
    await page.keyboard.press("Enter")
    await shows(page, "Listening")
    await expect(page.locator("#hold")).to_be_focused()
    await page.keyboard.down("Space")
    await shows(page, "You are speaking")
    await page.evaluate("window.dispatchEvent(new Event('blur'))")  # another window takes the keys
    await until(page, "window.banter.state !== 'hearing'")
    await page.keyboard.up("Space")


async def test_the_volume_is_kept(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    volume = page.get_by_label("Volume")
    await volume.fill("0.2")
    await page.reload()
    await start(page, mock)
    await expect(volume).to_have_value("0.2")


# Latency


async def test_the_latency_of_each_turn_is_shown(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, viewport={"width": 1280, "height": 800})
    button = page.get_by_role("button", name="Latency")
    await button.click()
    panel = page.get_by_role("region", name="Latency")
    await expect(panel).to_contain_text("After each answer")
    await expect(button).to_have_attribute("aria-expanded", "true")
    await start(page, mock)
    await timed_turn(page, mock, 1, 260, 310, 420, 500)
    await timed_turn(page, mock, 2, 260, -30, 200, 300)
    await timed_turn(page, mock, 3, 400, 450, 600, 900)
    rows = panel.locator(".stages tbody tr")
    await expect(rows).to_have_count(5)
    await expect(rows.nth(0)).to_have_text("end of turn260 ms386 ms")
    await expect(rows.nth(3)).to_have_text("sound sent500 ms860 ms")
    turns = panel.locator(".turn")
    await expect(turns).to_have_count(3)
    await expect(turns.nth(0)).to_contain_text("Question 3?")  # the newest is first
    await expect(turns.nth(1)).to_contain_text("prepared early")
    await expect(turns.nth(1).locator("tr").nth(1)).to_contain_text("-30 ms")
    await expect(panel.get_by_role("img")).to_have_count(1)
    played = await page.evaluate("window.banter.turns.map(({ played }) => played)")
    assert all(played[i] >= sent for i, sent in enumerate((500, 300, 900)))
    boxes = [await turns.nth(0).locator("i").nth(i).bounding_box() for i in range(5)]
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts)
    assert lefts[4] > lefts[0] + 50
    await expect(page.locator("#panel")).to_be_visible()  # beside it, where there is room


async def test_on_a_phone_the_latency_takes_the_place_of_the_transcript(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, viewport={"width": 390, "height": 700})
    await page.get_by_role("button", name="Latency").click()
    await expect(page.locator("#panel")).to_be_hidden()
    await expect(page.locator("#toggle")).to_be_in_viewport(ratio=1)
    await page.get_by_role("button", name="Latency").click()
    await expect(page.locator("#panel")).to_be_visible()


# For everyone


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_no_panel_is_wider_than_the_page(
    mock: MockServer, open_page: OpenPage, width: int
) -> None:
    page = await open_page(mock.url, viewport={"width": width, "height": 640}, has_touch=True)
    await serve_voices(page, "default", "anna", can_add=True)
    await start(page, mock)
    await timed_turn(page, mock, 1, 260, 310, 420, 500)
    await page.get_by_role("button", name="Push to talk").click()
    overflowing = """() => {
        const boxes = document.querySelectorAll("body, main, .dock, #latency, dialog[open]");
        return [...boxes].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML);
    }"""
    assert await page.evaluate(overflowing) == []
    await expect(page.locator("#hold")).to_be_in_viewport(ratio=1)
    await expect(page.locator("#toggle")).to_be_in_viewport(ratio=1)
    await page.get_by_role("button", name="Latency").click()
    await expect(page.locator(".turn")).to_have_count(1)
    assert await page.evaluate(overflowing) == []
    await open_settings(page)
    await page.get_by_text("Add a voice").click()
    await page.get_by_label("Your turn ends").select_option("pause")
    assert await page.evaluate(overflowing) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width


async def test_less_motion_where_it_is_asked_for(mock: MockServer, open_page: OpenPage) -> None:
    moving = "document.getAnimations().length"
    for motion, expected in (("no-preference", True), ("reduce", False)):
        page = await open_page(mock.url, reduced_motion=motion)
        await start(page, mock)
        await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_1")
        await expect(page.locator("#lines li")).to_have_count(1)
        assert (await page.evaluate(moving) > 0) is expected


async def test_panels_are_loaded_when_they_are_opened(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await user_turn(mock, "Hello.")
    loaded = f"""{json.dumps(PANEL_FILES)}.map((name) => performance
        .getEntriesByType("resource").some((file) => file.name.endsWith("/" + name)))"""
    assert not any(await page.evaluate(loaded))
    await page.get_by_role("button", name="Save").click()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Latency").click()
    await open_settings(page)
    await until(page, f"{loaded}.every(Boolean)")
    assert (await audio(page))["droppedChunks"] == 0
