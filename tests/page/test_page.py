"""The page's own behaviour, in a real Chromium, against a server that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest
from conftest import INSECURE_HOST, OpenPage
from mock_server import CONTENT_SECURITY_POLICY, MockServer, audio_frame, frames, tone
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MAX_PAGE_BYTES = 130_000  # of what a talk loads, unpacked; packed it is less than half
MAX_SILENCE_MS = 150
SECOND_BYTES = 48_000  # of PCM16 at 24 kHz

# Listens at the loudspeaker: [time, peak of the last 10 ms], every 4 ms.
PROBE = """
window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const probe = new AnalyserNode(this.context, { fftSize: 256 });
    const samples = new Float32Array(256);
    connect.call(this, probe);
    setInterval(() => {
      probe.getFloatTimeDomainData(samples);
      const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      window.heard.push([performance.now(), peak]);
    }, 4);
  }
  return connect.call(this, target, ...rest);
};
"""

# Keeps the microphones and audio contexts that the page opens.
KEEP = """
window.streams = [];
window.contexts = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wishes) => {
  const stream = await ask(wishes);
  window.streams.push(stream);
  return stream;
};
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    window.contexts.push(this);
  }
};
"""

# A browser that does not let a page choose the rate.
OWN_RATE = """
window.AudioContext = class extends AudioContext {
  constructor() {
    super({ sampleRate: 44100 });
  }
};
"""


def no_microphone(name: str) -> str:
    return f"""void (navigator.mediaDevices.getUserMedia = async () => {{
        throw new DOMException("no", "{name}");
    }});"""


async def start(page: Page, mock: MockServer) -> None:
    await page.get_by_role("button", name="Start talking").click()
    await mock.called()
    await shows(page, "Listening")


async def shows(page: Page, word: str) -> None:
    await expect(page.locator("#word")).to_have_text(word)


async def complains(page: Page, pattern: str) -> None:
    await expect(page.get_by_role("alert")).to_contain_text(re.compile(pattern))


async def until(page: Page, expression: str) -> None:
    """Playwright's own wait_for_function is refused by the page's Content-Security-Policy."""
    async with asyncio.timeout(10):
        while not await page.evaluate(expression):
            await page.wait_for_timeout(10)


async def audio(page: Page) -> dict[str, Any]:
    figures: dict[str, Any] = await page.evaluate("window.banter.audio")
    return figures


async def user_turn(mock: MockServer, words: str, number: int = 1) -> None:
    item = f"user_{number}"
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
    await mock.say("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=item)
    await mock.say("input_audio_buffer.committed", previous_item_id=None, item_id=item)
    transcription = "conversation.item.input_audio_transcription.completed"
    await mock.say(transcription, item_id=item, content_index=0, transcript=words)


async def begin_reply(mock: MockServer, words: str, number: int = 1) -> None:
    ids = {"response_id": f"resp_{number}", "output_index": 0}
    item = {"id": f"reply_{number}", "type": "message", "role": "assistant", "content": []}
    response = {"id": f"resp_{number}", "status": "in_progress"}
    await mock.say("response.created", response=response, response_number=number)
    await mock.say("response.output_item.added", **ids, item=item)
    await mock.say("conversation.item.added", previous_item_id=f"user_{number}", item=item)
    for word in re.findall(r"\S+\s*", words):
        await mock.say(
            "response.output_audio_transcript.delta", **ids, item_id=item["id"], delta=word
        )


async def end_reply(
    mock: MockServer, words: str, number: int = 1, status: str = "completed"
) -> None:
    ids = {"response_id": f"resp_{number}", "item_id": f"reply_{number}", "content_index": 0}
    await mock.say("response.output_audio.done", **ids)
    await mock.say("response.output_audio_transcript.done", **ids, transcript=words)
    response = {"id": f"resp_{number}", "status": status, "status_details": None}
    await mock.say("response.done", response=response)


async def send_audio(mock: MockServer, milliseconds: int, number: int = 1) -> None:
    for frame in frames(number, tone(milliseconds)):
        await mock.send_frame(frame)


async def begin_speaking(page: Page, mock: MockServer, words: str = "Well, it depends.") -> None:
    """Up to a reply of ten seconds that can be heard."""
    await start(page, mock)
    await user_turn(mock, "How far is the moon?")
    await begin_reply(mock, words)
    await send_audio(mock, 10_000)
    await end_reply(mock, words)
    await shows(page, "Speaking")


async def test_loads_alone_small_and_without_a_complaint(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page("about:blank")
    complaints: list[str] = []
    urls: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    response = await page.goto(mock.url)
    assert response is not None
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    await start(page, mock)  # loads the worklets too
    assert complaints == []
    assert {url.split("/")[2] for url in urls} == {mock.url.split("/")[2]}
    assert "/static/player-worklet.js" in mock.served_bytes
    assert sum(mock.served_bytes.values()) < MAX_PAGE_BYTES


async def test_a_turn_is_heard_written_and_spoken(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    update = await mock.receives("session.update")
    assert update["session"] == {
        "type": "realtime",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    }
    await mock.hears_audio(SECOND_BYTES)
    item = "user_1"
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
    await shows(page, "You are speaking")
    await mock.say("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id=item)
    await shows(page, "Thinking")
    transcription = "conversation.item.input_audio_transcription.completed"
    await mock.say(transcription, item_id=item, transcript="How far is the moon?")
    await begin_reply(mock, "About 384,000 kilometres.")
    await send_audio(mock, 500)
    await shows(page, "Speaking")
    await end_reply(mock, "About 384,000 kilometres.")
    await shows(page, "Listening")
    lines = page.locator("#lines li")
    await expect(lines).to_have_text(["YouHow far is the moon?", "BanterAbout 384,000 kilometres."])
    await expect(page.locator("#lines [aria-busy]")).to_have_count(0)
    figures = await audio(page)
    assert figures["playedSamples"] == 12_000
    assert figures["underruns"] == figures["staleFrames"] == figures["droppedChunks"] == 0
    assert figures["inputLevel"] > 0.05
    assert figures["outputLevel"] > 0.05


async def test_an_interruption_is_silent_at_once(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, scripts=(PROBE,))
    await begin_speaking(page, mock)
    await until(page, "window.banter.audio.playedSamples > 24000")
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=5_000, item_id="user_2")
    truncate = await mock.receives("conversation.item.truncate")
    await shows(page, "Interrupted")
    await page.wait_for_timeout(2 * MAX_SILENCE_MS)
    silent_after_ms = await page.evaluate(
        """() => {
          const { at } = window.banter.events.findLast(
            ({ event }) => event.type === "input_audio_buffer.speech_started");
          return Math.max(...window.heard.filter(([, peak]) => peak > 1e-3).map(([at]) => at)) - at;
        }"""
    )
    assert silent_after_ms < MAX_SILENCE_MS
    assert truncate["item_id"] == "reply_1"
    assert truncate["content_index"] == 0
    started_ms, stopped_ms = await page.evaluate(
        """() => {
          const loud = window.heard.filter(([, peak]) => peak > 1e-3).map(([at]) => at);
          return [loud[0], loud.at(-1)];
        }"""
    )
    assert truncate["audio_end_ms"] == pytest.approx(stopped_ms - started_ms, abs=80)
    await mock.say("conversation.item.truncated", item_id="reply_1", audio_end_ms=1_000)
    await mock.receives("conversation.item.retrieve")
    content = [{"type": "output_audio", "transcript": "Well,"}]
    await mock.say("conversation.item.retrieved", item={"id": "reply_1", "content": content})
    cut = page.locator("#lines .reply.cut")
    await expect(cut).to_have_text("BanterWell, it depends.interrupted")
    await expect(cut.locator("del")).to_have_text(" it depends.")


async def test_frames_of_a_cut_reply_are_dropped(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, scripts=(PROBE,))
    await begin_speaking(page, mock)
    await user_turn(mock, "Stop.", number=2)
    await mock.receives("conversation.item.truncate")
    for frame in frames(1, tone(400)):
        await mock.send_frame(frame)
    await shows(page, "Thinking")
    await begin_reply(mock, "All right.", number=2)
    await mock.send_frame(audio_frame(1, 0, tone(100)))
    await until(page, "window.banter.audio.staleFrames === 5")
    await page.evaluate("window.heard.length = 0")
    await page.wait_for_timeout(300)
    assert await page.evaluate("Math.max(...window.heard.map(([, peak]) => peak))") == 0
    await send_audio(mock, 300, number=2)
    await end_reply(mock, "All right.", number=2)
    await shows(page, "Listening")
    assert len([event for event in mock.received if event["type"].endswith("truncate")]) == 1


async def test_a_transcript_is_text_and_never_markup(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    trap = '<img src="x" onerror="window.trapped = 1"><b>&amp;'
    await user_turn(mock, trap)
    await begin_reply(mock, trap)
    await end_reply(mock, trap)
    await mock.say("error", error={"type": "server_error", "message": trap})
    await expect(page.locator(".text")).to_have_text([trap, trap])
    await complains(page, re.escape(trap))
    assert await page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert await page.evaluate("window.trapped") is None


async def test_what_was_not_speech_leaves_no_trace(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_1")
    await expect(page.locator("#lines li")).to_have_count(1)
    await user_turn(mock, "")
    await expect(page.locator("#lines li")).to_have_count(0)
    await shows(page, "Listening")


async def test_an_error_event_is_shown_and_the_call_goes_on(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await mock.say("error", error={"type": "server_error", "message": "The voice is missing."})
    await complains(page, "The voice is missing")
    await page.get_by_role("button", name="Dismiss this message").click()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await user_turn(mock, "Are you still there?")
    await expect(page.locator(".text")).to_have_text(["Are you still there?"])


@pytest.mark.parametrize(
    ("code", "reason", "pattern"),
    [(1000, "", "ended the conversation"), (1008, "too slow", r"refused.*\(too slow\)")],
)
async def test_a_close_for_good_is_explained(
    mock: MockServer, open_page: OpenPage, code: int, reason: str, pattern: str
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    while True:  # audio on its way may reset the connection, and the code is lost
        sessions = mock.sessions
        await mock.close(code, reason)
        with contextlib.suppress(AssertionError):
            await complains(page, pattern)
            break
        await mock.called_again(sessions + 1)
    await shows(page, "Ready")
    await start(page, mock)
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_server_that_refuses_is_explained(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    mock.refuses = True
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, "cannot be reached or refuses")
    await shows(page, "Ready")
    mock.refusal = {"status": "saturated", "reason": "all 2 places are taken: try again in 10 s"}
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, r"server is full\. \(all 2 places are taken: try again in 10 s\)")
    await shows(page, "Ready")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("NotAllowedError", "blocked"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "Another program"),
        ("SomethingElse", "could not be started: no"),
    ],
)
async def test_a_missing_microphone_is_explained(
    mock: MockServer, open_page: OpenPage, name: str, pattern: str
) -> None:
    page = await open_page(mock.url, scripts=(no_microphone(name),))
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, pattern)
    await shows(page, "Ready")


async def test_an_insecure_origin_says_what_to_do(mock: MockServer, open_page: OpenPage) -> None:
    port = mock.url.rsplit(":", 1)[1]
    page = await open_page(f"http://{INSECURE_HOST}:{port}")
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, f"http://{INSECURE_HOST}:{port} is not one.*http://localhost:{port}")


async def test_stop_hangs_up_and_lets_go_of_the_microphone(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await begin_speaking(page, mock)
    await page.get_by_role("button", name="Stop").click()
    assert await mock.left() == 1000
    await shows(page, "Ready")
    tracks = "streams.flatMap((stream) => stream.getTracks()).map((track) => track.readyState)"
    assert await page.evaluate(tracks) == ["ended"]
    assert await page.evaluate("contexts.map((context) => context.state)") == ["closed"]
    assert await page.evaluate("window.banter.audio.playedSamples") > 0


async def test_another_microphone_takes_over_from_a_lost_one(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await start(page, mock)
    unplug = "streams.at(-1).getTracks().forEach((t) => t.dispatchEvent(new Event('ended')))"
    await page.evaluate(unplug)
    await until(page, "streams.length === 2")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)
    await shows(page, "Listening")
    await page.evaluate(no_microphone("NotFoundError"))
    await page.evaluate(unplug)
    await complains(page, "microphone was disconnected")
    await shows(page, "Ready")


async def test_a_pause_by_the_browser_is_ended_by_the_button(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await start(page, mock)
    await page.evaluate("contexts[0].suspend()")
    await shows(page, "Paused by the browser")
    await page.get_by_role("button", name="Continue").click()
    await shows(page, "Listening")


async def test_a_browser_with_its_own_rate_resamples_both_ways(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(OWN_RATE,))
    await start(page, mock)
    await mock.hears_audio(SECOND_BYTES)
    before = mock.audio_bytes
    await page.wait_for_timeout(1_000)
    assert mock.audio_bytes - before == pytest.approx(SECOND_BYTES, rel=0.15)
    await user_turn(mock, "Hello.")
    await begin_reply(mock, "Hello.")
    await send_audio(mock, 500)
    await end_reply(mock, "Hello.")
    await until(page, "window.banter.audio.playedSamples > 0")
    await shows(page, "Listening")
    figures = await audio(page)
    assert figures["sampleRateHz"] == 44_100
    assert figures["playedSamples"] == pytest.approx(12_000, abs=2)
    assert figures["inputLevel"] > 0.05


async def test_the_keyboard_is_enough(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    button = page.locator("#toggle")
    for _ in range(4):
        await page.keyboard.press("Tab")
        if await button.evaluate("(element) => element === document.activeElement"):
            break
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await shows(page, "Listening")
    await page.keyboard.press("Space")
    await shows(page, "Ready")
    await expect(button).to_be_focused()


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_nothing_is_cut_off_at_any_width(
    mock: MockServer, open_page: OpenPage, width: int
) -> None:
    page = await open_page(mock.url, viewport={"width": width, "height": 640})
    await start(page, mock)
    await user_turn(mock, "Donaudampfschifffahrtsgesellschaftskapitän " * 4)
    await mock.say("error", error={"type": "server_error", "message": "x" * 200})
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await page.evaluate("document.documentElement.scrollHeight") <= 640
    await expect(page.locator("#toggle")).to_be_in_viewport(ratio=1)
