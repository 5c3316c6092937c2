"""One response as the client sees it: its events in the recorded order, its audio, its playback.

`open` to `close` is one response: every `response.created` gets exactly one `response.done`.
Its message begins with its first words. Calls of functions are told as they are written, or, where
something is said first, as soon as that is said: the message ends before they begin. Whoever is
still making it when it is closed may go on saying and sending: nothing of that leaves any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from realtime import server_events
from realtime.audio import VOICE_RATE_HZ, Int16, samples_to_ms
from realtime.calls import Calls
from realtime.conversation import Conversation
from realtime.engines import CallPart
from realtime.formats import Format, Resampler
from realtime.ids import new_id
from realtime.items import Item, Piece
from realtime.outbox import AudioChunk, Outbox
from realtime.outputs import Outputs
from realtime.playout import Playout
from realtime.prompt import Message, tokens_of
from realtime.stretch import Making
from realtime.usage import Tokens, Usage

FinalStatus = Literal["completed", "cancelled", "failed", "incomplete"]


class Response:
    """Writes one response's events to the outbox and its words to the conversation."""

    def __init__(
        self,
        number: int,
        *,
        outbox: Outbox,
        conversation: Conversation,
        spoken: bool,
        voice: str,
        max_output_tokens: int | str,
        metadata: dict[str, Any] | None,
        wire: Format,
        binary: bool,
        answers: bool,
        in_history: bool,
        goes_on: bool = False,
    ) -> None:
        self.id = new_id("resp")
        self.number = number
        self.answers = answers
        """True where a turn asked for it, false where the client or the server did."""
        self.usage = Usage()
        self.making = Making()
        self.done = False
        self._outbox = outbox
        self._conversation = conversation
        self._spoken = spoken
        self._voice = voice
        self._max_output_tokens = max_output_tokens
        self._metadata = metadata
        self._binary = binary
        self.in_history = in_history
        self.playout = Playout(wire.rate_hz)
        self._format = wire
        self._resampler = Resampler(VOICE_RATE_HZ, wire.rate_hz)
        self.item = Item(
            new_id("item"),
            "assistant",
            "output_audio" if spoken else "output_text",
            status="in_progress",
            rate_hz=wire.rate_hz,
            goes_on=goes_on,
        )
        """The message; told to the client from its first words on."""
        self._outputs = Outputs(self.id, outbox, conversation if in_history else None)
        self._calls = Calls(self.id, outbox, self._outputs)
        self._held: list[CallPart] = []
        self._index: int | None = None

    def open(self) -> None:
        """Tell the client that the response exists."""
        event = server_events.ResponseCreated(response=self._wire("in_progress"))
        if self._binary:
            event.response_number = self.number
        self._outbox.put(event)

    def say(self, text: str) -> Piece:
        """The next words. Their concatenation is the item's transcript."""
        if self.done:
            return Piece(text)
        if self._index is None:
            self._calls.finish_whole()
            self._index = self._outputs.open(self.item)
            self._outbox.put(server_events.ContentPartAdded(**self._place(), part=self._part("")))
        piece = self.item.say(text)
        self.usage.written_chars += len(text)
        delta = server_events.TranscriptDelta if self._spoken else server_events.TextDelta
        self._outbox.put(delta(**self._place(), delta=text))
        return piece

    def call(self, part: CallPart) -> None:
        """The next characters of a call; they wait while the message is still being said."""
        if self.done:
            return
        if self._index is None:
            self._calls.push(part)
        elif self._held and self._held[-1].number == part.number:
            arguments = self._held[-1].arguments + part.arguments
            self._held[-1] = replace(part, arguments=arguments)
        else:
            self._held.append(part)

    def count(self, tokens: Tokens) -> None:
        """What the language model's endpoint counted."""
        self.usage.counted = tokens

    def count_prompt(self, prompt: Sequence[Message]) -> None:
        self.usage.prompt_estimate = tokens_of(prompt)

    @property
    def calling(self) -> bool:
        """A call was begun and may not be whole yet."""
        return bool(self._held) or self._calls.is_open

    @property
    def held(self) -> list[CallPart]:
        """Calls that wait for the message, and are not told where that is broken off."""
        return list(self._held)

    @property
    def speaks(self) -> bool:
        """Its message has begun, and it is spoken."""
        return self._spoken and self._index is not None

    @property
    def begun(self) -> bool:
        """The client knows of something in it."""
        return len(self._outputs) > 0

    def render(self, audio: Int16) -> Int16:
        """A voice's audio at the rate of the wire, as one stream over the whole response."""
        return self._resampler.push(audio)

    def render_rest(self) -> Int16:
        """What the resampler still holds, at the response's end."""
        return self._resampler.flush()

    async def send(self, audio: Int16, now_s: float) -> None:
        """The next audio, at the wire's rate; waits where the client reads too slowly."""
        await self._outbox.room()
        if self.done:
            return
        item, rate = self.item, self.item.rate_hz
        chunk = AudioChunk(
            self.id,
            self.number,
            item.id,
            offset=item.audio_samples,
            samples=len(audio),
            seconds=len(audio) / rate,
            output_index=self._index or 0,
            data=self._format.encode(audio),
        )
        item.audio_samples += len(audio)
        self.usage.audio_ms = samples_to_ms(item.audio_samples, rate)
        self.playout.add(len(audio), now_s)
        self._outbox.put_audio(chunk)

    @property
    def unheard(self) -> bool:
        """Nothing of it reached anybody; to be asked after `hush`."""
        return not self.item.text and not self._outputs.called

    def hush(self, now_s: float | None) -> None:
        """The client stops playing: the item keeps what can have been heard by now.

        Without a time all that was sent counts as heard: that client does not play in real time.
        """
        if self._index is not None and self._spoken:
            self.item.audio_samples -= self._outbox.drop_audio(self.id)
            sent = self.item.audio_samples
            self.item.cut(sent if now_s is None else min(sent, self.playout.stop(now_s)))

    def close(self, status: FinalStatus, details: dict[str, Any] | None = None) -> None:
        """End the response, once."""
        if self.done:
            return
        self.done = True
        if self._index is not None:
            if status == "failed" and self._spoken:
                self.item.cut(self.item.audio_samples)
            whole = status == "completed" or (status == "incomplete" and self._held)
            self.item.status = "completed" if whole else "incomplete"
            self._close_message()
        self._close_calls(status)
        self.usage.written_chars += self._calls.chars
        self._outbox.put(server_events.ResponseDone(response=self._wire(status, details)))
        self._outbox.put(server_events.RateLimitsUpdated(rate_limits=[]))

    def _close_message(self) -> None:
        put, place, text = self._outbox.put, self._place(), self.item.text or ""
        self.item.text = text
        if self._spoken:
            put(server_events.AudioDone(**place))
            put(server_events.TranscriptDone(**place, transcript=text))
        else:
            put(server_events.TextDone(**place, text=text))
        put(server_events.ContentPartDone(**place, part=self._part(text)))
        self._outputs.close(self.item)

    def _close_calls(self, status: FinalStatus) -> None:
        """Calls that waited for the message are told now, unless they are not wanted any more."""
        if status in ("completed", "incomplete"):
            for part in self._held:
                self._calls.push(part)
        if status == "completed":
            self._calls.finish()
        else:
            self._calls.abandon()

    def _place(self) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": self.item.id,
            "output_index": self._index or 0,
            "content_index": 0,
        }

    def _part(self, text: str) -> dict[str, str]:
        if self._spoken:
            return {"type": "audio", "transcript": text}
        return {"type": "text", "text": text}

    def _wire(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        over = status != "in_progress"
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": {"type": status, **details} if details else None,
            "output": self._outputs.wire() if over else [],
            "conversation_id": self._conversation.id if self.in_history else None,
            "output_modalities": ["audio"] if self._spoken else ["text"],
            "max_output_tokens": self._max_output_tokens,
            "audio": {
                "output": {
                    "format": self._format.wire(),
                    "voice": self._voice,
                }
            },
            "usage": self.usage.wire() if over else None,
            "metadata": self._metadata,
        }
