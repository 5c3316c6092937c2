"""Whose work a line of the log belongs to: a session, a turn in it, a response.

A task takes the values that were set where it was made, so what a session starts carries its id
without being handed it; what one thread does for all sessions carries none. Pure.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

SESSION = ContextVar("session", default="")
ITEM = ContextVar("item", default="")
"""The turn, by the id of its item."""

RESPONSE = ContextVar("response", default="")
KEY = ContextVar("key", default="")
"""The name of the key that was shown, never the key."""

_VARIABLES = (SESSION, ITEM, RESPONSE, KEY)


def context() -> dict[str, str]:
    """What is known here, by name."""
    return {variable.name: value for variable in _VARIABLES if (value := variable.get())}


def enter(session_id: str, key: str = "") -> tuple[Token[str], Token[str]]:
    """A session begins in this task; give what is returned to `leave` at its end."""
    return SESSION.set(session_id), KEY.set(key)


def leave(tokens: tuple[Token[str], Token[str]]) -> None:
    """The session is over; a connection that goes on in this task is not in it."""
    SESSION.reset(tokens[0])
    KEY.reset(tokens[1])
    ITEM.set("")
