"""Everything that the page can look like, each put together with the mock server by its name.

The tests look at all of them for what shuts people out; `screenshots.py` makes pictures of them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from conftest import INSECURE_HOST
from mock_server import MockServer
from playwright.async_api import Page, Route, expect
from test_page import (
    KEEP,
    begin_reply,
    begin_speaking,
    end_reply,
    no_microphone,
    send_audio,
    shows,
    start,
    user_turn,
)

QUESTION, ANSWER = "How far is the moon?", "About 384,000 kilometres. Shall I go on?"
VOICES = {
    "object": "list",
    "data": [{"id": name, "object": "audio.voice"} for name in ("default", "anna", "ben")],
    "can_add": True,
}

Play = Callable[[Page, MockServer], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """`play` is given a page that was opened with `scripts`, at the mock or at `host`."""

    play: Play
    scripts: tuple[str, ...] = ()
    host: str = ""


async def answered(page: Page, mock: MockServer, number: int = 1) -> None:
    """A whole turn, with its figures."""
    await user_turn(mock, QUESTION, number)
    await begin_reply(mock, ANSWER, number)
    await send_audio(mock, 300, number)
    await mock.say("banter.turn.timing", **timing(number))
    await shows(page, "Speaking")
    await end_reply(mock, ANSWER, number)
    await shows(page, "Listening")


def timing(number: int) -> dict[str, Any]:
    later = 35.0 * (number % 4)
    return {
        "item_id": f"user_{number}",
        "response_id": f"resp_{number}",
        "response_number": number,
        "end_of_speech_ms": 0,
        "decision_ms": 270.0 + later,
        "transcript_ms": 290.0 + later,
        "text_ms": 345.0 + 2 * later,
        "audio_ms": 420.0 + 3 * later,
        "speculated": number % 2 == 0,
    }


async def ready(page: Page, mock: MockServer) -> None:
    await shows(page, "Ready")


async def connecting(page: Page, mock: MockServer) -> None:
    mock.greets = False
    await page.locator("#toggle").click()
    await mock.called()
    await shows(page, "Connecting")


async def listening(page: Page, mock: MockServer) -> None:
    await start(page, mock)
    await answered(page, mock)


async def hearing(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user_2")
    said = "conversation.item.input_audio_transcription.delta"
    await mock.say(said, item_id="user_2", content_index=0, delta="And how long does it")
    await shows(page, "You are speaking")


async def thinking(page: Page, mock: MockServer) -> None:
    await start(page, mock)
    await user_turn(mock, QUESTION)
    await shows(page, "Thinking")


async def speaking(page: Page, mock: MockServer) -> None:
    await begin_speaking(page, mock, ANSWER)


async def interrupted(page: Page, mock: MockServer) -> None:
    await begin_speaking(page, mock, ANSWER)
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=5_000, item_id="user_2")
    await shows(page, "Interrupted")


async def trimmed(page: Page, mock: MockServer) -> None:
    """An answer that was cut, with what was heard of it."""
    await interrupted(page, mock)
    await mock.receives("conversation.item.truncate")
    await mock.say("conversation.item.truncated", item_id="reply_1", audio_end_ms=900)
    await mock.receives("conversation.item.retrieve")
    heard = [{"type": "output_audio", "transcript": "About 384,000 kilometres."}]
    await mock.say("conversation.item.retrieved", item={"id": "reply_1", "content": heard})
    await expect(page.locator("#lines .reply.cut")).to_contain_text("Shall I go on?")


async def conversation(page: Page, mock: MockServer) -> None:
    """Some of everything: an answer, one that was cut, and words that are still being said."""
    await listening(page, mock)
    told = "It would take a train about five months without a stop, day and night."
    await user_turn(mock, "How long would a train take?", 2)
    await begin_reply(mock, told, 2)
    await send_audio(mock, 10_000, 2)
    await shows(page, "Speaking")
    await mock.say("input_audio_buffer.speech_started", audio_start_ms=9_000, item_id="user_3")
    await mock.receives("conversation.item.truncate")
    await mock.say("conversation.item.truncated", item_id="reply_2", audio_end_ms=2_000)
    await mock.receives("conversation.item.retrieve")
    heard = [{"type": "output_audio", "transcript": "It would take a train about five months"}]
    await mock.say("conversation.item.retrieved", item={"id": "reply_2", "content": heard})
    said = "conversation.item.input_audio_transcription.delta"
    await mock.say(said, item_id="user_3", content_index=0, delta="Oh, and is there")
    await expect(page.locator("#lines .reply.cut")).to_contain_text("without a stop")
    await expect(page.locator("#lines .user")).to_have_count(3)


async def tool(page: Page, mock: MockServer) -> None:
    await start(page, mock)
    await user_turn(mock, "What is the weather in Oslo?")
    await mock.say(
        "response.created", response={"id": "resp_1", "status": "in_progress"}, response_number=1
    )
    place = {"response_id": "resp_1", "item_id": "call", "output_index": 0, "call_id": "call_1"}
    arguments = '{"city": "Oslo"}'
    item = {"id": "call", "type": "function_call", "name": "weather", "call_id": "call_1"}
    await mock.say("response.output_item.added", **place, item={**item, "arguments": ""})
    done = {**item, "arguments": arguments, "status": "completed"}
    await mock.say(
        "response.function_call_arguments.done", **place, name="weather", arguments=arguments
    )
    await mock.say("response.output_item.done", **place, item=done)
    await expect(page.locator("#lines")).to_contain_text("weather")


async def muted(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    await page.get_by_role("button", name="Mute").click()
    await shows(page, "Muted")


async def held(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    await page.locator("#by-hand").click()
    await page.locator("#hold").hover()
    await page.mouse.down()
    await expect(page.locator("#hint")).to_have_text("Let go when you have finished.")


async def reconnecting(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    mock.refuses = True
    await mock.vanish()
    await shows(page, "Reconnecting")


async def paused(page: Page, mock: MockServer) -> None:
    await start(page, mock)
    await page.evaluate("contexts[0].suspend()")
    await shows(page, "Paused by the browser")


async def settings(page: Page, mock: MockServer) -> None:
    async def list_voices(route: Route) -> None:
        await route.fulfill(json=VOICES)

    await page.route("**/v1/audio/voices", list_voices)
    await page.locator("#settings-open").click()
    await page.locator("#settings-form [name=turns]").select_option("meaning")
    await expect(page.locator("#voice-row")).to_be_visible()


async def cloning(page: Page, mock: MockServer) -> None:
    await settings(page, mock)
    await page.locator("#cloning summary").click()
    await page.locator("#clone-status").scroll_into_view_if_needed()
    await expect(page.locator("#clone-form")).to_be_visible()


async def latency_empty(page: Page, mock: MockServer) -> None:
    await page.locator("#latency-open").click()
    await expect(page.locator("#latency")).to_be_visible()


async def latency(page: Page, mock: MockServer) -> None:
    await start(page, mock)
    for number in range(1, 7):
        await answered(page, mock, number)
    await page.locator("#latency-open").click()
    await expect(page.locator("#latency table.turn")).to_have_count(6)


async def saving(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    await page.locator("#save-open").click()
    await expect(page.locator("#save")).to_be_visible()


async def key(page: Page, mock: MockServer) -> None:
    async def locked(route: Route) -> None:
        body = {"error": {"message": "no key", "type": "invalid_request_error"}}
        await route.fulfill(status=401, body=json.dumps(body))

    mock.refuses = True
    mock.refusal = None
    await page.route("**/ready", lambda route: route.fulfill(json={"status": "ready"}))
    await page.route("**/v1/models", locked)
    await page.locator("#toggle").click()
    await expect(page.locator("#key")).to_be_visible()


async def notice(page: Page, mock: MockServer) -> None:
    """Whatever keeps this page from talking; what it is, is in the scene's scripts or host."""
    await page.locator("#toggle").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def full(page: Page, mock: MockServer) -> None:
    mock.refuses = True
    mock.refusal = {"status": "saturated", "reason": "all 2 places are taken: try again in 10 s"}
    await notice(page, mock)


async def starting(page: Page, mock: MockServer) -> None:
    mock.refuses = True
    await page.route("**/ready", lambda route: route.fulfill(status=502, body="bad gateway"))
    await notice(page, mock)


async def error(page: Page, mock: MockServer) -> None:
    await listening(page, mock)
    await mock.say("error", error={"type": "server_error", "message": "The voice is missing."})
    await expect(page.get_by_role("alert")).to_be_visible()


TOO_OLD = "delete window.AudioWorkletNode;"

SCENES = {
    "ready": Scene(ready),
    "connecting": Scene(connecting),
    "listening": Scene(listening),
    "hearing": Scene(hearing),
    "thinking": Scene(thinking),
    "speaking": Scene(speaking),
    "interrupted": Scene(interrupted),
    "trimmed": Scene(trimmed),
    "conversation": Scene(conversation),
    "tool": Scene(tool),
    "muted": Scene(muted),
    "push-to-talk": Scene(held),
    "reconnecting": Scene(reconnecting),
    "paused": Scene(paused, scripts=(KEEP,)),
    "settings": Scene(settings),
    "cloning": Scene(cloning),
    "latency-empty": Scene(latency_empty),
    "latency": Scene(latency),
    "saving": Scene(saving),
    "key": Scene(key),
    "no-microphone": Scene(notice, scripts=(no_microphone("NotFoundError"),)),
    "refused": Scene(notice, scripts=(no_microphone("NotAllowedError"),)),
    "insecure": Scene(notice, host=INSECURE_HOST),
    "too-old": Scene(notice, scripts=(TOO_OLD,)),
    "full": Scene(full),
    "starting": Scene(starting),
    "error": Scene(error),
}
"""By name, in the order in which a person may meet them."""


def address(scene: Scene, mock: MockServer) -> str:
    """Where to open the page for a scene."""
    return f"http://{scene.host}:{mock.url.rsplit(':', 1)[1]}" if scene.host else mock.url
