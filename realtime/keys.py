"""API keys: who may use the server. A request shows one in any of three ways. Pure.

Authorization: Bearer KEY                                       OpenAI's libraries
Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.KEY   browsers, which set no headers
api-key: KEY                                                    clients made for Azure
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping

PROTOCOL_PREFIX = "openai-insecure-api-key."
MIN_KEY_CHARS = 16


def parse_keys(value: str) -> tuple[str, ...]:
    """Keys from a setting: separated by commas, each of at least 16 characters of a header token.

    Raises:
        ValueError: a key is too short to be a secret, or could not stand in a header.
    """
    keys = tuple(key for key in (part.strip() for part in value.split(",")) if key)
    for key in keys:
        if len(key) < MIN_KEY_CHARS:
            raise ValueError(f"holds a key of less than {MIN_KEY_CHARS} characters")
        if not all(char.isascii() and (char.isalnum() or char in "-._~") for char in key):
            raise ValueError("holds a key with other characters than letters, digits and - . _ ~")
    return keys


def offered(headers: Mapping[str, str]) -> list[str]:
    """The keys that a request shows, wherever they stand."""
    found = []
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found.append(value.strip())
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(PROTOCOL_PREFIX):
            found.append(protocol.strip().removeprefix(PROTOCOL_PREFIX))
    if "api-key" in headers:
        found.append(headers["api-key"].strip())
    return found


def accepted(keys: Iterable[str], headers: Mapping[str, str]) -> bool:
    """True if one of the shown keys is ours. Every pair is compared, each in constant time."""
    shown = [key.encode() for key in offered(headers)]
    pairs = [hmac.compare_digest(key.encode(), other) for key in keys for other in shown]
    return any(pairs)


def is_loopback(host: str) -> bool:
    """True if only this machine can reach an address that a listener is bound to."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
