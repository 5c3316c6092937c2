"""Who may use the server: keys, and where there are none, from where. Pure.

A request shows a key in any of three ways:

Authorization: Bearer KEY                                       OpenAI's libraries
Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.KEY   browsers, which set no headers
api-key: KEY                                                    clients made for Azure
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

PROTOCOL_PREFIX = "openai-insecure-api-key."
MIN_KEY_CHARS = 16
MIN_SECRET_CHARS = 32
MAX_SECRETS = 4
MAX_OFFERED = 4
"""Of one request: each is compared with every key there is."""


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


def parse_secrets(value: str) -> tuple[str, ...]:
    """Secrets that servers share, from a setting: separated by commas.

    Raises:
        ValueError: one is too short to be a secret or not printable ASCII, or there are too many.
    """
    found = tuple(each for each in (part.strip() for part in value.split(",")) if each)
    if any(len(each) < MIN_SECRET_CHARS for each in found):
        raise ValueError(f"holds a secret of less than {MIN_SECRET_CHARS} characters")
    if not all(each.isascii() and each.isprintable() for each in found):
        raise ValueError("holds a secret with other characters than printable ASCII")
    if len(found) > MAX_SECRETS:
        raise ValueError(f"holds more than {MAX_SECRETS} secrets")
    return found


def offered(headers: Mapping[str, str]) -> list[str]:
    """The keys that a request shows, wherever they stand; of more than `MAX_OFFERED` the first."""
    found = []
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found.append(value.strip())
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(PROTOCOL_PREFIX):
            found.append(protocol.strip().removeprefix(PROTOCOL_PREFIX))
    if "api-key" in headers:
        found.append(headers["api-key"].strip())
    return found[:MAX_OFFERED]


def key_bytes(key: str) -> bytes:
    """What came in a header, where bytes that are no UTF-8 stand as lone surrogates."""
    return key.encode("utf-8", "surrogateescape")


def parse_origins(value: str) -> tuple[str, ...]:
    """Web origins from a setting, separated by commas; `*` is every one.

    Raises:
        ValueError: one is not `scheme://host`, with a port where it is not the scheme's own.
    """
    origins = tuple(o.lower() for o in (part.strip() for part in value.split(",")) if o)
    for origin in origins:
        scheme, _, rest = origin.partition("://")
        if origin not in ("*", "null") and not (scheme and rest and "/" not in rest):
            raise ValueError(
                "holds an origin that is not like https://voice.example.com or "
                "http://localhost:3000, without a path"
            )
    return origins


def foreign(headers: Mapping[str, str], listed: Iterable[str], *, only_here: bool) -> bool:
    """True if a browser sent this for a page that has no business here.

    Pages of this machine and those `listed` have; so has the server's own, which is told by the
    name that it was called by. Of a server that only this machine can reach (`only_here`) that name
    proves nothing, as any domain can be made to point at a visitor's own machine. What such a page
    asks of its own domain comes without an origin: so there the name has to be one of this machine,
    or of a page that is listed.
    """
    origin = headers.get("Origin", "").lower()
    if origin in listed or "*" in listed:
        return False
    if not origin:
        return only_here and not _is_named_here(headers.get("Host", "").lower(), listed)
    try:
        parts = urlsplit(origin)
        if is_loopback(parts.hostname or ""):
            return False
    except ValueError:
        return True
    return only_here or parts.netloc != headers.get("Host", "").lower()


def _is_named_here(host: str, listed: Iterable[str]) -> bool:
    """Whether this `Host` is this machine's, or a listed page's. Every browser sends one."""
    if not host or any(host == origin.partition("://")[2] for origin in listed):
        return True
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """True if only this machine can reach an address that a listener is bound to."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
