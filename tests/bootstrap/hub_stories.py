"""Runs of the command against a hub in trouble: what is wrong, and what has to be said about it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fake_hub import Hub
from fake_index import noise
from small_models import COMMITS, EAR, FILES, VOICE, ear, voice

from bootstrap.plan import HubRepository, PlannedFile


@dataclass(frozen=True)
class Story:
    """One run: what is wrong, and what the last line on standard error has to say."""

    name: str
    prepare: Callable[[Hub], object]
    cause: str = ""
    """Empty: the run has to succeed."""
    remedy: str = ""
    source: HubRepository = field(default_factory=voice)
    environment: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    """On the way there."""

    def __str__(self) -> str:
        return self.name


def nothing(hub: Hub) -> None:
    """The trouble lies elsewhere."""


def ever(part: str, kind: str, status: int = 0) -> Callable[[Hub], object]:
    return lambda hub: hub.trouble(part, kind, 99, status)


def gated(hub: Hub) -> None:
    hub.repositories[VOICE].gated = True


def gone(hub: Hub) -> None:
    del hub.repositories[VOICE]


def no_longer(hub: Hub) -> None:
    hub.repositories[VOICE].commit = "d" * 40


def other_content(hub: Hub) -> None:
    hub.repositories[VOICE].files["t3.safetensors"] = noise(900_000, 77)


def other_size(hub: Hub) -> None:
    hub.repositories[VOICE].files["t3.safetensors"] = b"short"


def without_a_file(hub: Hub) -> None:
    del hub.repositories[VOICE].files["t3.safetensors"]


def with_an_evil_path(hub: Hub) -> None:
    hub.repositories[EAR].files["../../../evil.json"] = b"{}"


def with_an_evil_commit(hub: Hub) -> None:
    hub.repositories[EAR].commit = "../../../evil"


SMALL = "nested/tokenizer_config.json"
LIE = HubRepository(
    VOICE, COMMITS[VOICE], files=(PlannedFile(SMALL, len(FILES[VOICE][SMALL]), "e" * 64),)
)
OTHER_KIND = HubRepository(VOICE, "main", patterns=("*.json",), required=("model.bin",))
GREEDY = HubRepository(EAR, "main", patterns=("*.json",))
_TAKEN = socket.socket()
_TAKEN.bind(("127.0.0.1", 0))
DEAD_PORT = _TAKEN.getsockname()[1]
"""Taken, so that no other test gets it, and nobody listens."""

STORIES = (
    Story("gated", gated, "is gated: its owners let in", f"Accept .*/{VOICE} and set HF_TOKEN"),
    Story("missing", gone, f"{VOICE} is not on the hub, or is private", "Check the name"),
    Story("revoked", no_longer, f"{VOICE} has no revision b+, or no longer", "Update Banter"),
    Story("other content", other_content, "hub lists t3.safetensors with another SHA", "Nothing"),
    Story("other size", other_size, "t3.safetensors with 5 bytes instead of 900000", "Nothing"),
    Story("lost file", without_a_file, "the hub lists no t3.safetensors", "Nothing was fetched"),
    Story("evil path", with_an_evil_path, "not a plain relative path", "Nothing", source=GREEDY),
    Story("evil commit", with_an_evil_commit, "not a commit", "Nothing was", source=GREEDY),
    Story("kind", nothing, "@main has no model.bin", "the right kind", source=OTHER_KIND),
    Story("plan's hash", nothing, "sent SHA-256 .* instead of e{64}", "Nothing", source=LIE),
    Story("429", ever("/revision/", "status", 429), r"refuses more .* \(429\)", "some minutes"),
    Story("500", ever("/revision/", "status", 500), "answered 500 again and again", "status.hu"),
    Story("503", ever("/resolve/", "status", 503), "it answered 503 again", "status.huggingface"),
    Story("403", ever("/resolve/", "status", 403), "the hub answered 403", "may lack a right"),
    Story("404", ever("/storage/", "status", 404), "the hub answered 404", "See "),
    Story("stall", ever("t3.safe", "stall"), "hub stopped sending for 1 s", "DOWNLOAD_TIMEOUT="),
    Story("short", ever("t3.safe", "short"), "the connection broke again", "goes on from here"),
    Story("wrong", ever("t3.safe", "wrong"), r"the hub sent hash \w{64} instead", "Nothing of it"),
    Story("small", ever("tokenizer", "wrong"), r"hub sent hash \w{40} instead of", "Nothing"),
    Story(
        "token",
        nothing,
        "does not accept the token",
        "Set HF_TOKEN to a valid token",
        environment={"HF_TOKEN": "wrong"},
    ),
    Story(
        "network",
        nothing,
        f":{DEAD_PORT} cannot be reached",
        "name a proxy",
        environment={"HF_ENDPOINT": f"http://127.0.0.1:{DEAD_PORT}"},
    ),
    Story(
        "offline",
        nothing,
        "HF_HUB_OFFLINE forbids",
        "Unset HF_HUB_OFFLINE",
        environment={"HF_HUB_OFFLINE": "1"},
    ),
    Story(
        "429 passes",
        lambda hub: hub.trouble("/revision/", "status", 1, 429, Retry_After="0"),
        said="the hub answered 429; trying again in 0 s",
    ),
    Story(
        "500 passes",
        lambda hub: hub.trouble("/revision/", "status", 2, 500),
        said="the hub answered 500; trying again",
    ),
    Story(
        "503 passes",
        lambda hub: hub.trouble("t3.safe", "status", 2, 503),
        said="t3.safetensors: the hub answered 503; trying again",
    ),
    Story(
        "cut passes",
        lambda hub: hub.trouble("t3.safe", "cut", 4),
        said="t3.safetensors: the connection broke; trying again",
    ),
    Story(
        "stall passes",
        lambda hub: hub.trouble("t3.safe", "stall"),
        said="t3.safetensors: the hub does not answer; trying again",
    ),
    Story(
        "wrong passes",
        lambda hub: hub.trouble("t3.safe", "wrong"),
        said="t3.safetensors: hash .*; fetching it from the beginning",
    ),
    Story(
        "range ignored",
        lambda hub: (hub.trouble("t3.safe", "cut"), hub.trouble("t3.safe", "whole")),
        said="does not go on where it is asked to; fetching it from the beginning",
    ),
    Story("unpinned passes", nothing, source=ear()),
)
