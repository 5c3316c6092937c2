"""Errors by what becomes of them.

`ProtocolError` is the client's mistake: it turns into one `error` event and the session lives.
`StageError` is a stage that failed: the turn fails, the session lives. Anything else is a bug: it
is logged with its traceback and its details never reach the client.
"""

from __future__ import annotations


class BanterError(Exception):
    """Base of everything Banter raises on purpose."""


class SettingsError(BanterError):
    """A setting has a value that cannot be used; the message names the setting and the remedy."""


class ProtocolError(BanterError):
    """A message that cannot be followed. `param` names the field, as in `session.audio.input`."""

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None):
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id: str | None = None
        """The client's id of the message that failed, where it could be read."""


class StageError(BanterError):
    """One stage of a turn failed. `stage` is the word used on the wire and in the metrics."""

    stage = "server"

    def __init__(self, message: str, *, code: str | None = None, stage: str | None = None):
        super().__init__(message)
        self.stage = stage or self.stage
        self.code = code or f"{self.stage}_failed"


class HearingError(StageError):
    """The speech detector failed."""

    stage = "speech_detection"


class EndOfTurnError(StageError):
    """The end-of-turn model failed; the words, or silence alone, end the turn."""

    stage = "end_of_turn"


class TranscriptionError(StageError):
    """The recogniser failed on this utterance."""

    stage = "transcription"


class ReplyError(StageError):
    """The language model failed on this reply."""

    stage = "reply"


class VoiceError(StageError):
    """The voice failed on this piece of text."""

    stage = "voice"


class VoiceRefused(BanterError):
    """A voice cannot be added, found or removed. `code` says which: `invalid_name`, `voice_exists`,
    `voice_not_found`, `voice_protected`, `too_many_voices`, `unsupported_audio`, `unsuitable_clip`,
    `busy`, or `storage_failed`."""

    def __init__(self, message: str, *, code: str):
        super().__init__(message)
        self.code = code


class SoundRefused(BanterError):
    """A sound file that cannot be used. `code` says why: `unsupported_audio` or `too_long`."""

    def __init__(self, message: str, *, code: str = "unsupported_audio"):
        super().__init__(message)
        self.code = code


class Saturated(StageError):
    """A queue is at its bound and takes nothing more; `stage` is set by the queue that says so."""

    def __init__(self, stage: str, message: str):
        super().__init__(message, code="saturated", stage=stage)
