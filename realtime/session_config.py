"""The session object: what a client may set, what it is told back, and how an update merges.

Names and defaults are the Realtime protocol's. A session of type "transcription" is one that only
listens; it has the same settings and tells only those that mean something in it. An update replaces
only the keys it carries; null clears the keys that may be null and means "unset" for the others;
unknown keys are ignored. What is echoed is always the whole effective session.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from realtime.dialect import nested
from realtime.endpointing import SILENCE_MS, Eagerness, by_eagerness, by_model, exactly
from realtime.errors import ProtocolError
from realtime.formats import Format
from realtime.model_names import REALTIME_MODEL, TRANSCRIPTION_MODEL
from realtime.tools import check_tools
from realtime.turns import TurnSettings

Threshold = Annotated[float, Meta(ge=0.0, le=1.0)]
PaddingMs = Annotated[int, Meta(ge=0, le=5_000)]
SilenceMs = Annotated[int, Meta(ge=20, le=10_000)]
IdleMs = Annotated[int, Meta(ge=5_000, le=30_000)]
Prompt = Annotated[str, Meta(max_length=1_024)]
"""Told to the recogniser before every utterance. Whisper reads its last 223 tokens, which are about
so many characters of English."""
Exaggeration = Annotated[float, Meta(ge=0.25, le=2.0)]
"""The range of Chatterbox's own demo; 0.5 is neutral, and what is extreme can be unstable."""
Temperature = Annotated[float, Meta(ge=0.05, le=2.0)]
"""Of the voice; at 2 its speech tokens are all but drawn at random."""
MAX_SESSION_BYTES = 512 * 1024
"""Of the whole session as JSON: it is sent back, and no frame of ours may pass 1 MiB."""

ModelName = Annotated[str, Meta(max_length=256)]
ReplyTokens = Annotated[int, Meta(ge=1, le=4_096)] | Literal["inf"]


class ServerVad(Struct, tag_field="type", tag="server_vad"):
    """A silence that a client sets is what ends a turn, to the millisecond. One that nobody set is
    `SILENCE_MS`, and models may end the turn sooner or later than that."""

    threshold: Threshold = 0.5
    prefix_padding_ms: PaddingMs = 300
    silence_duration_ms: SilenceMs | None = None
    """None where no client has set it; it is told as `SILENCE_MS`."""
    idle_timeout_ms: IdleMs | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def turn_settings(self) -> TurnSettings:
        silence_ms = self.silence_duration_ms
        waits = by_model() if silence_ms is None else exactly(silence_ms)
        return TurnSettings(self.prefix_padding_ms, waits=waits)


class SemanticVad(Struct, tag_field="type", tag="semantic_vad"):
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    threshold = 0.5

    def turn_settings(self) -> TurnSettings:
        return TurnSettings(waits=by_eagerness(self.eagerness))


TurnDetection = ServerVad | SemanticVad


class Pcm(Struct, tag_field="type", tag="audio/pcm"):
    rate: Literal[8_000, 16_000, 24_000, 48_000] = 24_000

    def on_wire(self) -> Format:
        return Format("pcm", self.rate)


class Pcmu(Struct, tag_field="type", tag="audio/pcmu"):
    def on_wire(self) -> Format:
        return Format("pcmu", 8_000)


class Pcma(Struct, tag_field="type", tag="audio/pcma"):
    def on_wire(self) -> Format:
        return Format("pcma", 8_000)


AudioFormat = Pcm | Pcmu | Pcma


class Transcription(Struct):
    model: ModelName = TRANSCRIPTION_MODEL
    language: str | None = msgspec.field(default=None)
    prompt: Prompt | None = msgspec.field(default=None)


class NoiseReduction(Struct):
    type: Literal["near_field", "far_field"]


class AudioInput(Struct):
    format: AudioFormat = msgspec.field(default_factory=Pcm)
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = msgspec.field(default_factory=ServerVad)


class AudioOutput(Struct):
    format: AudioFormat = msgspec.field(default_factory=Pcm)
    voice: str = "default"
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
    exaggeration: Exaggeration | None = None
    temperature: Temperature | None = None


class Audio(Struct):
    input: AudioInput = msgspec.field(default_factory=AudioInput)
    output: AudioOutput = msgspec.field(default_factory=AudioOutput)


class SessionConfig(Struct):
    """What one session is set to. Nothing in it knows an engine."""

    type: Literal["realtime", "transcription"] = "realtime"
    model: ModelName = REALTIME_MODEL
    """The name that was asked for."""
    instructions: str = ""
    output_modalities: list[Literal["text", "audio"]] = msgspec.field(
        default_factory=lambda: ["audio"]
    )
    tools: list[dict[str, Any]] = msgspec.field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool | None = None
    max_output_tokens: ReplyTokens = "inf"
    tracing: Any = None
    truncation: Any = "auto"
    prompt: Any = None
    include: list[str] | None = None
    audio: Audio = msgspec.field(default_factory=Audio)

    @property
    def spoken(self) -> bool:
        """True where replies are audio, false for text alone."""
        return "audio" in self.output_modalities

    @property
    def input_format(self) -> Format:
        return self.audio.input.format.on_wire()

    @property
    def output_format(self) -> Format:
        return self.audio.output.format.on_wire()

    def updated(self, patch: dict[str, Any], *, root: str = "session") -> SessionConfig:
        """This configuration with a client's `session` object merged in.

        Raises:
            ProtocolError: a value is of the wrong type or out of range, or the whole has become too
                large; names the field.
        """
        patch = _normalised(nested(patch, root=root))
        merged = _merge(msgspec.to_builtins(self), patch, ())
        if merged["type"] == "transcription" != self.type:
            _transcribe(merged, patch)
        try:
            config = msgspec.convert(merged, SessionConfig)
        except msgspec.ValidationError as error:
            raise field_error(error, root) from None
        check_tools(config.tools, patch.get("tool_choice"), root=root)
        _check_size(config, root)
        return config

    def wire(self, *, session_id: str, expires_at: int) -> dict[str, Any]:
        """The full effective session as `session.created` and `session.updated` carry it."""
        body = msgspec.to_builtins(self)
        given, made = body["audio"]["input"], body["audio"]["output"]
        detection = given["turn_detection"] or {}
        if detection.get("type") == "server_vad" and detection["silence_duration_ms"] is None:
            detection["silence_duration_ms"] = SILENCE_MS
        if given["transcription"]:
            given["transcription"] = _said(given["transcription"])
        body["audio"]["output"] = _said(made)
        if self.parallel_tool_calls is None:
            del body["parallel_tool_calls"]
        if self.type == "transcription":
            heard = {key: value for key, value in detection.items() if key not in _OF_RESPONSES}
            return {
                "type": "transcription",
                "object": "realtime.transcription_session",
                "id": session_id,
                "expires_at": expires_at,
                "include": self.include,
                "audio": {"input": {**given, "turn_detection": heard or None}},
            }
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "expires_at": expires_at,
            **body,
            "output_modalities": ["audio"] if self.spoken else ["text"],
        }


_NULLABLE = {
    ("audio", "input", "transcription"),
    ("audio", "input", "transcription", "language"),
    ("audio", "input", "transcription", "prompt"),
    ("audio", "input", "noise_reduction"),
    ("audio", "input", "turn_detection"),
    ("audio", "input", "turn_detection", "idle_timeout_ms"),
    ("audio", "output", "exaggeration"),
    ("audio", "output", "temperature"),
    ("parallel_tool_calls",),
    ("tracing",),
    ("prompt",),
    ("include",),
}
_WHOLE = {("tools",), ("tool_choice",), ("tracing",), ("truncation",), ("prompt",)}

_OF_RESPONSES = {"idle_timeout_ms", "create_response", "interrupt_response"}
"""Of turn detection, what a session without responses does not have."""


def _said(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what is null: fields that the protocol does not have are told only where set."""
    return {key: value for key, value in settings.items() if value is not None}


def field_error(error: msgspec.ValidationError, root: str) -> ProtocolError:
    """A validation error as the protocol's error, with the path of the field it is about."""
    text, _, path = str(error).partition(" - at `$")
    where = (root + path.rstrip("`")).strip(".")
    if "missing required field" in text:
        where = f"{where}.{text.split('`')[1]}".strip(".")
        return ProtocolError(
            f"'{where}' is missing", code="missing_required_parameter", param=where
        )
    return ProtocolError(f"'{where}': {text[:1].lower()}{text[1:]}", param=where or None)


def _check_size(config: SessionConfig, root: str) -> None:
    size = len(msgspec.json.encode(config))
    if size > MAX_SESSION_BYTES:
        raise ProtocolError(
            f"the whole {root or 'session'} would have {size} bytes, and at most "
            f"{MAX_SESSION_BYTES} are kept; shorten its instructions or tools",
            code="session_too_large",
            param=root or None,
        )


def _merge(current: Any, patch: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Merge a patch into plain data; null clears what may be null and is otherwise no change."""
    merged = dict(current) if isinstance(current, dict) else {}
    if _changes_type(merged, patch, path):
        merged = {}
    for key, value in patch.items():
        here = (*path, key)
        if value is None:
            if here in _NULLABLE:
                merged[key] = None
        elif isinstance(value, dict) and here not in _WHOLE:
            merged[key] = _merge(merged.get(key), value, here)
        else:
            merged[key] = value
    if path == ("audio", "input", "turn_detection"):
        merged.setdefault("type", "server_vad")
    return merged


def _changes_type(current: dict[str, Any], patch: dict[str, Any], path: tuple[str, ...]) -> bool:
    """A new turn detection type or format starts from its own defaults."""
    changes: bool = bool(path) and "type" in patch and patch["type"] != current.get("type")
    return changes


def _transcribe(merged: Any, patch: dict[str, Any]) -> None:
    """A session that becomes one for transcription transcribes, unless it is told not to."""
    audio = patch.get("audio")
    given = audio.get("input") if isinstance(audio, dict) else None
    if isinstance(given, dict) and "transcription" in given:
        return
    if isinstance(merged["audio"], dict) and isinstance(merged["audio"].get("input"), dict):
        merged["audio"]["input"]["transcription"] = msgspec.to_builtins(Transcription())


def _normalised(patch: dict[str, Any]) -> dict[str, Any]:
    """Forms that clients send and mean the same: `voice: {id}`, `noise_reduction: {}` for none."""
    audio = patch.get("audio")
    if not isinstance(audio, dict):
        return patch
    given, made = audio.get("input"), audio.get("output")
    if isinstance(made, dict) and isinstance(made.get("voice"), dict):
        audio = {**audio, "output": {**made, "voice": made["voice"].get("id", "default")}}
    if isinstance(given, dict) and given.get("noise_reduction") == {}:
        audio = {**audio, "input": {**given, "noise_reduction": None}}
    return {**patch, "audio": audio}
