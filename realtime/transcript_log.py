"""What is said, in the log: only where `--log-transcripts on` asks for it."""

from __future__ import annotations

import logging

from realtime import server_events as told
from realtime.outbox import Outgoing

log = logging.getLogger("banter.transcripts")


class TranscriptLog:
    """Of one session: it is shown all that is sent, and logs the words of both sides."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id

    def sent(self, item: Outgoing, now_s: float) -> None:
        match item:
            case told.TranscriptionCompleted(transcript=text):
                log.info("session %s heard: %r", self._session_id, text)
            case told.TranscriptDone(transcript=text) | told.TextDone(text=text):
                log.info("session %s said: %r", self._session_id, text)
