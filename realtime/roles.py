"""Who may do what: a role for each address. Pure.

talk     sessions, and keys for a short time that open them
rest     files to words, texts to sound, the list of models
voices   add and remove voices
status   what the server says of itself

An address that no row names takes a key with all roles: a new one is closed until it has a row.
"""

from __future__ import annotations

ROLES = frozenset(("talk", "rest", "voices", "status"))

OPEN_PATHS = ("/", "/health", "/ready", "/favicon.ico")
OPEN_PREFIX = "/static/"
SESSION_PATHS = ("/v1/realtime", "/realtime")

_READS = ("GET", "HEAD", "OPTIONS")
_VOICES = "/v1/audio/voices"
_LISTS = ("/openapi.json", _VOICES)
_MODELS = "/v1/models"
"""These take any key: every client asks what there is. The page asks the last, with a method that
it has not, whether its key is one."""

_WITHIN = (
    (("/v1/realtime", "/realtime"), "talk"),
    ((_VOICES,), "voices"),
    (("/v1/audio",), "rest"),
    (("/status", "/metrics"), "status"),
)


def is_open(path: str) -> bool:
    """What a prober or a person needs before there is a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def opens(roles: frozenset[str], method: str, path: str) -> bool:
    """Whether a key with these roles may ask for this."""
    if _under(path, (_MODELS,)) or (method in _READS and _under(path, _LISTS)):
        return True
    for roots, role in _WITHIN:
        if _under(path, roots):
            return role in roles
    return roles == ROLES


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
