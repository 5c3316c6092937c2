"""The call itself: lost and found connections, keys, devices, push-to-talk, written words."""

from __future__ import annotations

import re
import wave
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPage
from mock_server import MockServer
from playwright.async_api import Page, expect
from test_page import (
    KEEP,
    MAX_SILENCE_MS,
    PROBE,
    SECOND_BYTES,
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

KEY = "a-key-that-only-this-test-knows"

# Writes down what is asked of microphones, and which loudspeakers are chosen.
ASKED = """
window.asked = [];
window.sinks = [];
const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wishes) => {
  window.asked.push(wishes.audio.deviceId?.exact ?? "");
  if (wishes.audio.deviceId && window.gone) throw new DOMException("gone", "OverconstrainedError");
  return get(wishes);
};
AudioContext.prototype.setSinkId = async (id) => void window.sinks.push(id);
const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
navigator.mediaDevices.enumerateDevices = async () => (window.gone ? [] : list());
"""


async def loudest(page: Page, after_ms: int = 0, during_ms: int = 300) -> float:
    """The peak at the loudspeaker, from `after_ms` on; needs PROBE."""
    await page.wait_for_timeout(after_ms)
    await page.evaluate("window.heard.length = 0")
    await page.wait_for_timeout(during_ms)
    peak: float = await page.evaluate("Math.max(...window.heard.map(([, peak]) => peak))")
    return peak


def texts(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Role, kind and text of the items that a page created."""
    items = [event["item"] for event in events]
    return [(item["role"], *item["content"][0].values()) for item in items]


async def test_a_lost_connection_comes_back_and_the_server_is_told_what_was_said(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP, PROBE))
    await start(page, mock)
    await user_turn(mock, "Is there a moon?")
    await begin_reply(mock, "There is.")
    await send_audio(mock, 200)
    await end_reply(mock, "There is.")
    await until(page, "window.banter.audio.playedSamples === 4800")
    await shows(page, "Listening")
    await user_turn(mock, "How far is it?", number=2)
    await begin_reply(mock, "It is very, very far away from here.", number=2)
    await send_audio(mock, 10_000, number=2)
    await until(page, "window.banter.audio.playedSamples > 60000")
    await mock.vanish()
    await shows(page, "Reconnecting")
    await mock.called_again()
    await shows(page, "Listening")
    assert await loudest(page) == 0
    told = texts(mock.told("conversation.item.create"))
    assert told[:3] == [
        ("user", "input_text", "Is there a moon?"),
        ("assistant", "output_text", "There is."),
        ("user", "input_text", "How far is it?"),
    ]
    role, kind, heard = told[3]
    assert (role, kind, len(told)) == ("assistant", "output_text", 4)
    assert heard in ("It", "It is")  # 2.5 of 10 s, 8 words
    assert mock.told("response.create") == []  # it was answered
    assert len(mock.told("session.update")) == 2
    await expect(page.locator("#lines .user .text")).to_have_text(
        ["Is there a moon?", "How far is it?"]
    )
    await expect(page.locator("#lines .reply.cut .note")).to_have_text("the connection was lost")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)
    assert await page.evaluate("streams.length") == 1, "the microphone stays open"

    await user_turn(mock, "Go on.", number=3)  # its response is the first of this session
    await begin_reply(mock, "All right.", number=1)
    await send_audio(mock, 300, number=1)
    await end_reply(mock, "All right.", number=1)
    await shows(page, "Listening")


async def test_a_question_that_was_lost_unanswered_is_asked_again(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await user_turn(mock, "Is there a moon?")
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_2")
    await shows(page, "You are speaking")
    await mock.vanish()
    await mock.called_again()
    await mock.receives("response.create")
    kinds = [event["type"] for event in mock.received if event["type"] != "session.update"]
    assert kinds == ["response.cancel", "conversation.item.create", "response.create"]
    lines = page.locator("#lines .user")
    await expect(lines.locator(".text")).to_have_text(["Is there a moon?", ""])
    await expect(lines.locator(".note")).to_have_text(["", "the connection was lost"])


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013])
async def test_a_server_that_breaks_off_is_called_again(
    mock: MockServer, open_page: OpenPage, code: int
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await mock.close(code)
    await mock.called_again()
    await shows(page, "Listening")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_full_server_is_waited_for_as_long_as_it_says(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    mock.refuses = True
    mock.refusal = {"status": "saturated", "reason": "all places are taken"}
    mock.retry_after_s = 3
    await mock.vanish()
    await complains(page, r"The server is full\. Trying again in 3 s")
    await shows(page, "Reconnecting")
    mock.refuses = False
    await mock.called_again()
    await shows(page, "Listening")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_stop_ends_the_waiting_too(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    mock.refuses = True
    await mock.vanish()
    await shows(page, "Reconnecting")
    await page.get_by_role("button", name="Stop").click()
    await shows(page, "Ready")
    mock.refuses = False
    await page.wait_for_timeout(1_500)
    assert mock.sessions == 1


async def test_without_a_network_the_line_is_given_up_and_found_again(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await page.context.set_offline(True)
    await shows(page, "Reconnecting")
    await page.context.set_offline(False)
    await mock.called_again()
    await shows(page, "Listening")


async def test_a_key_is_asked_for_and_a_wrong_one_is_said_to_be_wrong(
    mock: MockServer, open_page: OpenPage
) -> None:
    mock.key = KEY
    page = await open_page(mock.url)
    await page.get_by_role("button", name="Start talking").click()
    await complains(page, "wants a key")
    await shows(page, "Ready")
    await page.locator("#key").fill("not-the-key-of-this-server")
    await page.keyboard.press("Enter")
    await complains(page, "does not accept this key")
    await page.locator("#key").fill(KEY)
    await page.keyboard.press("Enter")
    await shows(page, "Listening")
    assert mock.sessions == 1


async def test_a_muted_microphone_sends_nothing_and_the_reply_goes_on(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await begin_speaking(page, mock)
    await page.get_by_role("button", name="Mute").click()
    await page.wait_for_timeout(200)
    sent = mock.audio_bytes
    await shows(page, "Speaking")
    await page.wait_for_timeout(500)
    assert mock.audio_bytes == sent
    assert await page.evaluate("streams[0].getAudioTracks()[0].enabled") is False
    await user_turn(mock, "", number=2)  # late, from before
    await shows(page, "Muted")
    await page.get_by_role("button", name="Mute").click()
    await shows(page, "Listening")
    await mock.hears_audio(sent + SECOND_BYTES // 2)


async def test_push_to_talk_sends_while_it_is_held_and_asks_at_the_release(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await page.get_by_role("button", name="Push to talk").click()
    await until(page, "window.banter.events.some(({ event }) => event.type === 'session.update')")
    await page.wait_for_timeout(300)
    last = mock.told("session.update")[-1]["session"]
    assert last["audio"]["input"]["turn_detection"] is None
    sent = mock.audio_bytes
    await page.wait_for_timeout(500)
    assert mock.audio_bytes == sent

    hold = page.locator("#hold")
    await hold.hover()
    await page.mouse.down()
    await shows(page, "You are speaking")
    await page.wait_for_timeout(1_000)
    await page.mouse.up()
    await shows(page, "Thinking")
    await mock.receives("response.create")
    assert mock.audio_bytes - sent == pytest.approx(1.1 * SECOND_BYTES, rel=0.2)
    kinds = [event["type"] for event in mock.received if event["type"] != "session.update"]
    assert kinds == ["input_audio_buffer.clear", "input_audio_buffer.commit", "response.create"]


async def test_a_press_too_short_is_no_turn_and_says_so(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await page.get_by_role("button", name="Push to talk").click()
    await page.locator("#hold").click()
    await complains(page, "too short")
    await shows(page, "Listening")
    assert mock.told("input_audio_buffer.commit") == []


@pytest.mark.parametrize("how", ["mute", "suspend"])
async def test_a_turn_by_hand_ends_where_the_sound_does(
    mock: MockServer, open_page: OpenPage, how: str
) -> None:
    page = await open_page(f"{mock.url}/#pushToTalk=true", scripts=(KEEP,))
    await start(page, mock)
    await page.locator("#hold").hover()
    await page.mouse.down()
    await mock.hears_audio(SECOND_BYTES // 2)
    stop = {"mute": "document.getElementById('mute').click()", "suspend": "contexts[0].suspend()"}
    await page.evaluate(stop[how])
    await mock.receives("input_audio_buffer.commit")
    await mock.receives("response.create")
    await page.mouse.up()
    await page.mouse.down()  # nothing would be heard
    await page.wait_for_timeout(200)
    await page.mouse.up()
    assert len(mock.told("input_audio_buffer.clear")) == 1
    go_on = {"mute": stop["mute"], "suspend": "document.getElementById('toggle').click()"}
    await page.evaluate(go_on[how])
    await until(page, "contexts[0].state === 'running'")
    await page.mouse.down()
    await mock.receives("input_audio_buffer.clear", 2)
    await page.mouse.up()


async def test_a_press_cuts_the_reply(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, scripts=(PROBE,))
    await start(page, mock)
    await page.get_by_role("button", name="Push to talk").click()
    await begin_reply(mock, "Well, it depends.")
    await send_audio(mock, 10_000)
    await until(page, "window.banter.audio.playedSamples > 24000")
    await page.locator("#hold").hover()
    await page.mouse.down()
    await shows(page, "Interrupted")
    assert await loudest(page, after_ms=MAX_SILENCE_MS) == 0
    await mock.receives("response.cancel")
    truncate = await mock.receives("conversation.item.truncate")
    assert 900 < truncate["audio_end_ms"] < 4_000
    await page.mouse.up()


async def test_written_words_are_a_turn_and_cut_the_reply(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(PROBE,))
    await begin_speaking(page, mock)
    await page.locator("#words").fill("Stop, <b>please</b>.")
    await page.keyboard.press("Enter")
    await shows(page, "Thinking")
    assert await loudest(page, after_ms=MAX_SILENCE_MS) == 0
    await mock.receives("response.create")
    kinds = [event["type"] for event in mock.received][-3:]
    assert kinds == ["conversation.item.truncate", "conversation.item.create", "response.create"]
    written = ("user", "input_text", "Stop, <b>please</b>.")
    assert texts(mock.told("conversation.item.create")) == [written]
    await expect(page.locator("#lines .user .text").last).to_have_text("Stop, <b>please</b>.")
    await begin_reply(mock, "As you like.", number=2)
    await send_audio(mock, 300, number=2)
    await end_reply(mock, "As you like.", number=2)
    await shows(page, "Listening")


async def test_a_microphone_that_changes_its_rate_is_opened_again(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await start(page, mock)
    await page.evaluate(
        """() => {
          const [track] = streams[0].getAudioTracks();
          const settings = { ...track.getSettings(), sampleRate: 16000 };
          track.getSettings = () => settings;
        }"""
    )
    await until(page, "streams.length === 2")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)
    assert await page.evaluate("streams[0].getAudioTracks()[0].readyState") == "ended"
    await page.wait_for_timeout(2_500)
    assert await page.evaluate("streams.length") == 2, "once is enough"


async def test_a_microphone_that_falls_silent_is_opened_again(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP, SOURCES))
    await start(page, mock)
    await mock.hears_audio(3 * SECOND_BYTES)
    await page.evaluate("sources.at(-1).disconnect()")
    await until(page, "streams.length === 2")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)


async def test_a_device_that_the_context_cannot_read_gets_one_of_its_own(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await start(page, mock)
    await page.evaluate(
        """() => {
          contexts.at(-1).createMediaStreamSource = () => {
            throw new DOMException("another rate", "NotSupportedError");
          };
          streams[0].getTracks().forEach((track) => track.dispatchEvent(new Event("ended")));
        }"""
    )
    await until(page, "streams.length === 2 && contexts.length === 2")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)
    await shows(page, "Listening")
    await page.get_by_role("button", name="Stop").click()
    await shows(page, "Ready")
    await until(page, "contexts.every((context) => context.state === 'closed')")


# A browser in which sound needs a click of its own: the first resume does nothing.
QUIET_AT_FIRST = """
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    this.suspend();
  }
  resume() {
    return this.asked ? super.resume() : ((this.asked = true), Promise.resolve());
  }
};
"""


async def test_a_context_that_starts_suspended_is_started_by_the_button(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(QUIET_AT_FIRST,))
    await page.get_by_role("button", name="Start talking").click()
    await shows(page, "Paused by the browser")
    await page.get_by_role("button", name="Continue").click()
    await shows(page, "Listening")
    await mock.hears_audio(SECOND_BYTES)


async def test_a_page_that_is_looked_at_again_sounds_again(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(KEEP,))
    await start(page, mock)
    await page.evaluate("contexts[0].suspend()")
    await shows(page, "Paused by the browser")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await shows(page, "Listening")


# Keeps what the page hears microphones through.
SOURCES = """
window.sources = [];
const make = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  window.sources.push(make.call(this, stream));
  return window.sources.at(-1);
};
"""


async def test_devices_can_be_chosen_and_one_that_has_gone_leaves_it_to_the_system(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(ASKED,))
    await start(page, mock)
    await page.get_by_role("button", name="Settings").click()
    for name in ("input", "output"):
        field = page.locator(f"#settings-form select[name={name}]")
        await expect(field.locator("option")).not_to_have_count(1)
        await field.select_option(index=1)
    await until(page, "asked.length === 2 && sinks.length === 1")
    chosen, loudspeaker = await page.evaluate("[asked[1], sinks[0]]")
    assert chosen
    assert loudspeaker
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)

    change = "navigator.mediaDevices.dispatchEvent(new Event('devicechange'))"
    await page.evaluate("window.gone = true")
    await page.locator("#settings-form select[name=input]").select_option(index=2)
    await until(page, "asked.length === 4")
    assert await page.evaluate("asked.at(-1)") == ""
    await page.evaluate(change)
    await until(page, "sinks.at(-1) === ''")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)

    await page.evaluate("window.gone = false")  # it is plugged in again
    await page.evaluate(change)
    await until(page, "asked.length === 5 && asked.at(-1) !== ''")
    assert await page.evaluate("sinks.at(-1)") == loudspeaker
    await page.keyboard.press("Escape")
    await mock.hears_audio(mock.audio_bytes + SECOND_BYTES)
    await shows(page, "Listening")


async def test_the_volume_is_of_what_is_heard(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url, scripts=(PROBE,))
    await begin_speaking(page, mock)
    loud = await loudest(page)
    assert loud > 0.2
    await page.locator("#volume").fill("0.25")
    assert await loudest(page, after_ms=200) == pytest.approx(loud / 4, rel=0.1)


# A room in which the microphone hears the loudspeaker, fainter and a tenth of a second later.
ROOM = """
const Context = AudioContext;
const join = AudioNode.prototype.connect;
let room;
window.AudioContext = class extends Context {
  constructor(options) {
    super(options);
    room = new MediaStreamAudioDestinationNode(this);
  }
};
navigator.mediaDevices.getUserMedia = async () => room.stream;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode && this instanceof GainNode) {
    const far = new GainNode(this.context, { gain: 0.2 });
    const late = new DelayNode(this.context, { delayTime: 0.1 });
    for (const [from, to] of [[this, far], [far, late], [late, room]]) join.call(from, to);
  }
  return join.call(this, target, ...rest);
};
"""


async def test_a_loudspeaker_that_is_heard_back_is_told_once(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page(mock.url, scripts=(ROOM,))
    await begin_speaking(page, mock)
    hint = page.get_by_role("alert")
    await expect(hint).to_contain_text("Use headphones", timeout=9_500)
    await page.get_by_role("button", name="Dismiss this message").click()
    await page.wait_for_timeout(1_000)
    await expect(hint).to_be_hidden()


async def test_the_sound_of_both_sides_can_be_kept(
    mock: MockServer, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(mock.url)
    await start(page, mock)
    await user_turn(mock, "Hello.")
    await begin_reply(mock, "Hello.")
    await send_audio(mock, 500)
    await end_reply(mock, "Hello.")
    await until(page, "window.banter.audio.playedSamples >= 12000")
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="Save").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=re.compile("WAV")).click()
    path = tmp_path / "kept.wav"
    await (await download.value).save_as(path)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 2)
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    user, reply = (list(samples[side::2]) for side in (0, 1))
    assert sum(abs(sample) > 300 for sample in user) > 0.5 * len(user)
    assert max(user[-24_000:]) > 1_000
    sounding = [i for i, sample in enumerate(reply) if sample]
    assert sounding[-1] - sounding[0] == pytest.approx(12_000, abs=100)


async def test_figures_go_on_over_a_lost_connection(mock: MockServer, open_page: OpenPage) -> None:
    page = await open_page(mock.url)
    for number in (1, 2):
        if number == 1:
            await start(page, mock)
        else:
            await mock.vanish()
            await mock.called_again()
            await shows(page, "Listening")
        await begin_reply(mock, "Hello.", number=1)
        await send_audio(mock, 500)
        await end_reply(mock, "Hello.", number=1)
        await until(page, f"window.banter.audio.playedSamples >= {number * 12_000}")
    assert (await audio(page))["playedSamples"] == 24_000
