"""Repositories of small files, as plans name them and as a hub lists them."""

from __future__ import annotations

import hashlib
from typing import Any

from fake_index import noise

from bootstrap.plan import HubRepository, Model, Plan, PlannedFile

LFS_FROM_BYTES = 10_000
"""From here on a file's content lies elsewhere, and the repository has a pointer to it."""

EAR, VOICE = "tiny/faster-whisper-ear", "tiny/chatterbox-voice"
COMMITS = {EAR: "a" * 40, VOICE: "b" * 40}
FILES: dict[str, dict[str, bytes]] = {
    EAR: {
        "config.json": b'{"ear": 1}\n',
        "model.bin": noise(600_000, 11),
        "tokenizer.json": noise(3_000, 12),
        "vocabulary.txt": b"a\nb\n",
        "README.md": b"not wanted\n",
    },
    VOICE: {
        "conds.pt": noise(50_000, 13),
        "nested/tokenizer_config.json": b"{}\n",
        "s3gen.safetensors": noise(400_000, 14),
        "t3.safetensors": noise(900_000, 15),
        "unused.safetensors": noise(700_000, 16),
    },
}
EAR_PATTERNS = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
VOICE_FILES = ("conds.pt", "nested/tokenizer_config.json", "s3gen.safetensors", "t3.safetensors")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def ear(revision: str = "main") -> HubRepository:
    """Known by patterns alone, like a model that a setting names."""
    return HubRepository(EAR, revision, patterns=EAR_PATTERNS, required=("model.bin",))


def voice() -> HubRepository:
    """Pinned to the byte, like the models of a profile."""
    content = FILES[VOICE]
    files = tuple(
        PlannedFile(path, len(content[path]), sha256(content[path])) for path in VOICE_FILES
    )
    return HubRepository(VOICE, COMMITS[VOICE], files=files)


def hub_plan() -> Plan:
    """A folder of an unpinned repository, and one of a pinned one."""
    return Plan("gpu", (Model("whisper", ear()), Model("voice", voice())))


def listed(path: str, content: bytes) -> dict[str, Any]:
    """A file as the hub lists it: git's hash, of the pointer where the content is elsewhere."""
    if len(content) < LFS_FROM_BYTES:
        return {"path": path, "size": len(content), "oid": git_hash(content)}
    digest = sha256(content)
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    )
    return {
        "path": path,
        "size": len(content),
        "oid": git_hash(pointer.encode()),
        "lfs": {"oid": digest, "size": len(content), "pointerSize": len(pointer)},
    }
