"""What must hold of all that a session has told, whatever was asked of it and in whatever order.

Beyond `invariants.py`, whose client only speaks: here items may be put anywhere and deleted, audio
comes with its offset, and every utterance is followed to its words. One pass over the events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

ITEM_TRANSCRIBED = "conversation.item.input_audio_transcription"


@dataclass
class Told:
    """The model that the events are held against. `settled` says that nothing is under way any
    more: then what was begun must be over too."""

    ids: set[str] = field(default_factory=set)
    items: list[str] = field(default_factory=list)
    """As the conversation is, by what was told."""
    awaited: set[str] = field(default_factory=set)
    """Utterances whose words the client wants, and that have none yet."""
    transcribes: bool = False
    speaking: bool = False
    last_ms: int = 0
    open: str | None = None
    """The response that runs."""
    over: set[str] = field(default_factory=set)
    words: dict[str, str] = field(default_factory=dict)
    """By item, as its deltas have it."""
    audio: dict[str, int] = field(default_factory=dict)
    """Samples by item."""
    ours: str | None = None
    """An item that the server itself begins: it comes last."""
    silent: set[str] = field(default_factory=set)
    """Items that stand for nothing that was said."""

    def check(self, events: Iterable[Event], *, settled: bool) -> None:
        for event in events:
            self._check(event)
        if settled:
            assert not self.awaited, f"no words of {self.awaited}, and no reason why"
            assert self.open is None, f"{self.open} is not done"

    def _check(self, event: Event) -> None:
        kind, id_ = event["type"], event["event_id"]
        assert id_, kind
        assert id_ not in self.ids, f"{id_} twice"
        self.ids.add(id_)
        if kind.startswith("response."):
            self._check_response(kind, event)
        elif kind.startswith("input_audio_buffer."):
            self._check_buffer(kind, event)
        elif kind.startswith(ITEM_TRANSCRIBED):
            self._check_words(kind, event)
        elif kind.startswith("conversation.item."):
            self._check_item(kind, event)
        elif kind in ("session.created", "session.updated"):
            heard = event["session"]["audio"]["input"]
            self.transcribes = heard["transcription"] is not None
        elif kind == "error":
            body = event["error"]
            assert body["message"]
            assert body["type"] in ("invalid_request_error", "server_error")
            assert body.get("code") != "internal_error"

    def _check_buffer(self, kind: str, event: Event) -> None:
        match kind.rpartition(".")[2]:
            case "speech_started":
                assert not self.speaking
                assert event["audio_start_ms"] >= self.last_ms
                self.speaking, self.last_ms = True, event["audio_start_ms"]
            case "speech_stopped":
                assert self.speaking
                assert event["audio_end_ms"] >= self.last_ms
                self.speaking, self.last_ms = False, event["audio_end_ms"]
            case "committed":
                item = event["item_id"]
                assert event["previous_item_id"] == (self.items[-1] if self.items else None)
                self.ours = item
                if self.transcribes and item not in self.silent:
                    self.awaited.add(item)
            case "timeout_triggered":
                assert event["audio_start_ms"] <= event["audio_end_ms"]
                self.silent.add(event["item_id"])

    def _check_item(self, kind: str, event: Event) -> None:
        match kind.rpartition(".")[2]:
            case "added":
                before, item = event["previous_item_id"], event["item"]["id"]
                assert item not in self.items, f"{item} twice"
                last = self.items[-1] if self.items else None
                if item == self.ours:
                    assert before == last, "what is said comes last"
                assert before is None or before in self.items
                at = 0 if before is None else self.items.index(before) + 1
                self.items.insert(at, item)
            case "done":
                item = event["item"]["id"]
                at = self.items.index(item)
                assert event["previous_item_id"] == (self.items[at - 1] if at else None)
            case "deleted" if event["item_id"] in self.items:
                self.items.remove(event["item_id"])

    def _check_words(self, kind: str, event: Event) -> None:
        item = event["item_id"]
        match kind.rpartition(".")[2]:
            case "delta":
                self.words[item] = self.words.get(item, "") + event["delta"]
            case "completed" | "failed":
                assert item in self.awaited, f"the words of {item} come twice, or unasked"
                self.awaited.remove(item)

    def _check_response(self, kind: str, event: Event) -> None:
        id_ = event.get("response_id") or event["response"]["id"]
        assert id_ not in self.over, f"{kind} after the end of {id_}"
        if kind == "response.created":
            assert self.open is None, "two responses at once"
            self.open = id_
            return
        assert id_ == self.open, f"{kind} of {id_}, which is not begun"
        if kind == "response.output_audio.delta":
            at = self.audio.get(event["item_id"], 0)
            assert event["offset"] == at, "audio is missing, or comes twice"
            self.audio[event["item_id"]] = at + event["samples"]
        elif kind == "response.output_item.added":
            self.ours = event["item"]["id"]
        elif kind.endswith(("transcript.delta", "output_text.delta")):
            self.words[event["item_id"]] = self.words.get(event["item_id"], "") + event["delta"]
        elif kind == "response.done":
            self._check_done(event["response"])

    def _check_done(self, response: Event) -> None:
        self.open = None
        self.over.add(response["id"])
        assert response["status"] in ("completed", "cancelled", "failed", "incomplete")
        for item in response["output"]:
            for part in item.get("content", []):
                kept = part.get("transcript", part.get("text")) or ""
                said = self.words.get(item["id"], "")
                if response["status"] == "completed" and item["status"] == "completed":
                    # a truncation in mid-reply keeps less
                    assert said.startswith(kept)
                else:
                    assert said.startswith(kept), f"{kept!r} was not said in {said!r}"
