"""What an error of the hub's client means: may it pass, and if not, a cause and a remedy.

The client raises its own errors and those of its HTTP library, which is httpx in huggingface_hub 1
and httpx2 in 2; so the latter are known by the names of their classes.
"""

from __future__ import annotations

import errno

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bootstrap.errors import BootstrapError
from bootstrap.plan import HubRepository

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT_S = 60.0
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Truncated(Exception):
    """The connection ended before the file did."""


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, HfHubHTTPError):
        return _status(error) in PASSING_STATUS
    if isinstance(error, Truncated):
        return True
    broken = _is(error, "TimeoutException", "NetworkError", "ProtocolError", "ProxyError")
    return broken and not _is_certificate(error)


def wanted_wait_s(error: Exception) -> float | None:
    """How long the hub asks to wait, if it does and it is not too long."""
    response = getattr(error, "response", None)
    text = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(text), LONGEST_WAIT_S) if text.isdecimal() else None


def explain(error: Exception, source: HubRepository) -> BootstrapError:
    """One line of cause and one of what to do about it."""
    cause, remedy = _reason(error, source)
    return BootstrapError(f"Cannot fetch {source.title}: {cause}", remedy)


def short(error: Exception) -> str:
    """In a few words, for a line that says that it is tried again."""
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered {_status(error)}"
    if _is(error, "TimeoutException"):
        return "the hub does not answer"
    if _is(error, "ConnectError"):
        return "the hub cannot be reached"
    return "the connection broke"


def _reason(error: Exception, source: HubRepository) -> tuple[str, str]:
    if isinstance(error, OfflineModeIsEnabled):
        return (
            "it is not complete on the volume, and HF_HUB_OFFLINE forbids to ask the hub",
            "Unset HF_HUB_OFFLINE for one start, or copy a complete volume here",
        )
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, source)
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full", "Free some space or give a larger volume, and start again"
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename}: {error.strerror}",
            "Give a volume that can be written to, or fill this one where it can be",
        )
    return _network(error)


def _refusal(error: HfHubHTTPError, source: HubRepository) -> tuple[str, str]:
    """The hub answered, and did not give it."""
    name, status = source.repository, _status(error)
    page = f"{constants.ENDPOINT}/{name}"
    if isinstance(error, GatedRepoError):
        return (
            f"{name} is gated: its owners let in those who have accepted their terms",
            f"Accept them at {page} and set HF_TOKEN to a token of that account",
        )
    if status == 401 and get_token() is not None:
        return (
            f"the hub does not accept the token, or it may not read {name} (401)",
            "Set HF_TOKEN to a valid token, or to none: public models need none",
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{name} is not on the hub, or is private",
            "Check the name; a private repository needs HF_TOKEN",
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{name} has no revision {source.revision}, or no longer",
            "Update Banter, or name another revision as owner/name@revision",
        )
    if isinstance(error, EntryNotFoundError):
        return "a file of it is gone from the hub", "Update Banter, or name another revision"
    if isinstance(error, DisabledRepoError):
        return f"the hub has closed {name}", f"See {page}, or name another model"
    if status == 429:
        return (
            "the hub refuses more requests from here for now (429)",
            "Start again in some minutes; HF_TOKEN raises the limit",
        )
    if status is not None and status >= 500:
        return (
            f"the hub is in trouble: it answered {status} again and again",
            "Start again later (https://status.huggingface.co)",
        )
    return f"the hub answered {status}", f"See {page}; a token (HF_TOKEN) may lack a right"


def _network(error: Exception) -> tuple[str, str]:
    """There was no answer, or it broke off."""
    if _is_certificate(error):
        return (
            "the certificate of the hub is not trusted",
            "Name the authority's certificate (SSL_CERT_FILE) if a proxy stands between",
        )
    if _is(error, "ConnectError", "ConnectTimeout", "ProxyError"):
        return (
            f"{constants.ENDPOINT} cannot be reached ({first_line(error)})",
            "Connect this machine, or name a proxy (HTTPS_PROXY) or a mirror (HF_ENDPOINT)",
        )
    if _is(error, "TimeoutException"):
        return (
            f"the hub stopped sending for {constants.HF_HUB_DOWNLOAD_TIMEOUT} s, again and again",
            "Start again, it goes on from here; a slow line may need HF_HUB_DOWNLOAD_TIMEOUT=60",
        )
    if isinstance(error, Truncated) or _is(error, "TransportError"):
        return (
            f"the connection broke again and again ({first_line(error)})",
            "Start again, it goes on from here",
        )
    return f"{type(error).__name__}: {first_line(error)}", "Start again; if it stays, report this"


def _status(error: HfHubHTTPError) -> int | None:
    return getattr(error.response, "status_code", None)


def _is(error: Exception, *names: str) -> bool:
    """Whether it is of one of these classes, by name."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _is_certificate(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def first_line(error: Exception) -> str:
    """What it says of itself, shortened."""
    return (str(error).strip().splitlines() or ["no reason given"])[0]
