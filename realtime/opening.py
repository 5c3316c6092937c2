"""What a session begins with, as its request says: the address, and the key that opens it."""

from __future__ import annotations

from aiohttp import web

from realtime.ephemeral import Grant
from realtime.model_names import purpose_of
from realtime.session_config import SessionConfig


def asked_for(request: web.Request, config: SessionConfig, grant: Grant | None) -> SessionConfig:
    """The server's settings, or those of the key, and over them `?model=`, which may be anything,
    and `?intent=transcription`, which only listens.

    Raises:
        ProtocolError: the model's name is too long.
    """
    begun = grant.config if grant else config
    model = request.query.get("model", "")
    if request.query.get("intent") == "transcription":
        begun = begun.updated({"type": "transcription"})
    if model and begun.type == "realtime":
        return begun.updated({"model": model}, root="")
    if model and not grant and purpose_of(model) != "realtime":
        return begun.updated({"audio": {"input": {"transcription": {"model": model}}}}, root="")
    return begun
