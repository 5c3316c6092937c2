"""pipecat's services for realtime conversation and for realtime transcription, in a pipeline."""

from __future__ import annotations

import pytest
from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService, OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService

from tests.clients.chat import CITY, STORY
from tests.clients.pipeline import call
from tests.clients.speech import FIRST, SECOND, misheard, spoken
from tests.clients.wire import Wire

CLIENT = "pipecat-ai"


def sockets(site: str) -> str:
    return f"ws{site.removeprefix('http')}/v1/realtime"


def service(site: str, instructions: str = "Be brief.") -> OpenAIRealtimeLLMService:
    return OpenAIRealtimeLLMService(
        api_key="none",
        base_url=sockets(site),
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime",
            system_instruction=instructions,
            session_properties=SessionProperties(
                audio=AudioConfiguration(
                    input=AudioInput(
                        transcription=InputAudioTranscription(), turn_detection=TurnDetection()
                    )
                )
            ),
        ),
    )


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_41_pipecat_hears_and_is_answered(site: str, wire: Wire) -> None:
    async with call(service(site)) as running:
        await running.say(spoken(FIRST))
        [heard] = await running.until(TranscriptionFrame)
        await running.until(LLMFullResponseEndFrame)
        said = "".join(f.text for f in running.of(LLMTextFrame))
        sound = b"".join(f.audio for f in running.of(TTSAudioRawFrame))
        assert len(running.of(TTSStartedFrame)) == len(running.of(TTSStoppedFrame)) == 1
    assert misheard(FIRST, heard.text) <= 0.15
    assert said.strip() == f"You said: {heard.text}"
    assert len(sound) > 24_000 * 2


@pytest.mark.feature(CLIENT, "text turn")
async def test_41_pipecat_is_answered_to_its_context(site: str, wire: Wire) -> None:
    context = LLMContext([{"role": "user", "content": "Good morning."}])
    async with call(service(site), context) as running:
        await running.push(LLMRunFrame())
        await running.until(LLMFullResponseEndFrame)
        said = "".join(f.text for f in running.of(LLMTextFrame))
    assert said.strip() == "You said: Good morning."


@pytest.mark.feature(CLIENT, "barge-in")
async def test_41_pipecat_is_interrupted(site: str, wire: Wire) -> None:
    """It truncates what it played, and its receive loop lives on."""
    async with call(service(site, "Tell a story.")) as running:
        await running.say(spoken(FIRST))
        await running.until(TTSAudioRawFrame, 24)  # of 100 ms, sent as they are played
        await running.say(spoken(SECOND))
        await running.until(InterruptionFrame)
        _, heard = await running.until(TranscriptionFrame, 2)
        await running.until(TTSStartedFrame, 2)
    assert misheard(SECOND, heard.text) <= 0.15
    [cut] = wire.asked("conversation.item.truncate")
    [kept] = [e for e in wire.sent("response.done") if e["response"]["status"] == "cancelled"][:1]
    assert cut["audio_end_ms"] > 0
    assert kept["response"]["status_details"]["reason"] == "turn_detected"
    assert STORY.startswith(kept["response"]["output"][0]["content"][0]["transcript"])


@pytest.mark.feature(CLIENT, "tool call")
async def test_41_pipecat_calls_a_tool(site: str, wire: Wire) -> None:
    asked: list[str] = []

    async def get_weather(params: FunctionCallParams, city: str) -> None:
        """Tell the weather of a city.

        Args:
            city: The name of the city.
        """
        asked.append(city)
        await params.result_callback("sunny")

    context = LLMContext([{"role": "user", "content": "What is the weather?"}], tools=[get_weather])
    async with call(service(site), context) as running:
        await running.push(LLMRunFrame())
        await running.find(
            lambda: "sunny" in "".join(f.text for f in running.of(LLMTextFrame)), "answer"
        )
        said = "".join(f.text for f in running.of(LLMTextFrame))
    assert asked == [CITY]
    assert said.strip() == 'The tool says "sunny".'


@pytest.mark.feature(CLIENT, "history")
@pytest.mark.errors("item_retrieve_invalid_item_id")
async def test_41_pipecat_retrieves_items(site: str, wire: Wire) -> None:
    """An item, and one that there is not, after which it still talks."""
    context = LLMContext([{"role": "user", "content": "Good morning."}])
    made = service(site)
    async with call(made, context) as running:
        await running.push(LLMRunFrame())
        await running.until(LLMFullResponseEndFrame)
        [item] = [e["item"] for e in wire.sent("conversation.item.done")][:1]
        found = await made.retrieve_conversation_item(item["id"])
        assert found.content[0].text == "Good morning."
        with pytest.raises(Exception, match="nowhere"):
            await made.retrieve_conversation_item("nowhere")
        await running.say(spoken(FIRST))
        [heard] = await running.until(TranscriptionFrame)
    assert misheard(FIRST, heard.text) <= 0.15


@pytest.mark.feature(CLIENT, "transcription")
async def test_45_pipecat_only_transcribes(site: str, wire: Wire) -> None:
    stt = OpenAIRealtimeSTTService(
        api_key="none",
        base_url=sockets(site),
        turn_detection={"type": "server_vad"},
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-transcribe"),
    )
    async with call(stt) as running:
        await running.say(spoken(FIRST) + spoken(SECOND))
        first, second = await running.until(TranscriptionFrame, 2)
    assert misheard(FIRST, first.text) <= 0.15
    assert misheard(SECOND, second.text) <= 0.15
    assert not wire.sent("response.created")
    assert {e["session"]["type"] for e in wire.sent("session.updated")} == {"transcription"}


@pytest.mark.feature(CLIENT, "REST")
async def test_41_pipecat_speaks_over_rest(site: str) -> None:
    tts = OpenAITTSService(api_key="none", base_url=f"{site}/v1")
    async with call(tts) as running:
        await running.push(TTSSpeakFrame("Good morning, my friend."))
        await running.until(TTSStoppedFrame)
        sound = running.of(TTSAudioRawFrame)
    await tts._client.close()  # which it leaves to the garbage collector
    assert {frame.sample_rate for frame in sound} == {24_000}
    assert 0.5 < sum(len(frame.audio) for frame in sound) / 48_000 < 5


@pytest.mark.feature(CLIENT, "REST")
async def test_41_pipecat_transcribes_over_rest(site: str) -> None:
    stt = OpenAISTTService(api_key="none", base_url=f"{site}/v1")
    async with call(stt) as running:
        await running.push(VADUserStartedSpeakingFrame())
        await running.say(spoken(FIRST))
        await running.push(VADUserStoppedSpeakingFrame())
        [heard] = await running.until(TranscriptionFrame)
    await stt._client.close()  # which it leaves to the garbage collector
    assert misheard(FIRST, heard.text) <= 0.15
