"""OpenAI's error body, which every HTTP answer that refuses something carries."""

from __future__ import annotations

from typing import Any


def error_body(
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
) -> dict[str, Any]:
    """`{"error": {...}}` with all four keys, as OpenAI's libraries read it.

    `param` names the field at fault; `kind` is the body's `type`.
    """
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
