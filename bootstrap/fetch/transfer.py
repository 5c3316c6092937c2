"""The bytes of one file: taken up where an earlier run broke off, verified, synced, put in place.

huggingface_hub 2 throws away what a killed download had of a file, up to two gigabytes here, and
leaves it lying about. So the bytes are read here, through the client's own session, with its
headers and its errors.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from io import RawIOBase
from pathlib import Path
from typing import IO

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from bootstrap import cache, disk
from bootstrap.cache import CachedFile
from bootstrap.errors import BootstrapError
from bootstrap.fetch import reasons, xet
from bootstrap.order import Order
from bootstrap.plan import HubRepository

WHOLE_TRIES = 2
"""How often a file is fetched whose content turns out to be wrong."""

Say = Callable[[str], None]
Count = Callable[[int], None]


class Wrong(Exception):
    """What came is not what was announced; the words say how it differs."""


class Digest:
    """The hashes of a file's first bytes, as they pass by."""

    def __init__(self, file: CachedFile) -> None:
        self.seen_bytes = 0
        self._file = file
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)
        self._is_small = len(file.blob) == cache.GIT_HASH_DIGITS

    def update(self, piece: bytes) -> None:
        """The next bytes."""
        self.seen_bytes += len(piece)
        self._sha256.update(piece)
        if self._is_small:
            self._git.update(piece)

    def read(self, reader: IO[bytes] | RawIOBase) -> None:
        """All bytes of an open file."""
        while piece := reader.read(disk.PIECE_BYTES):
            self.update(piece)

    def verify(self) -> CachedFile:
        """The file with its SHA-256, now that all of it has been seen.

        Raises:
            Wrong: it is another file.
        """
        sha256 = self._sha256.hexdigest()
        blob = self._git.hexdigest() if self._is_small else sha256
        if self.seen_bytes != self._file.size_bytes:
            raise Wrong(f"{self.seen_bytes} bytes instead of {self._file.size_bytes}")
        if blob != self._file.blob:
            raise Wrong(f"hash {blob} instead of {self._file.blob}")
        if self._file.sha256 not in (None, sha256):
            raise Wrong(f"SHA-256 {sha256} instead of {self._file.sha256}")
        return replace(self._file, sha256=sha256)


def find(repository: Path, file: CachedFile) -> CachedFile | None:
    """The file as it lies there, verified; None if it does not.

    Raises:
        Wrong: there is something else in its place.
    """
    blob = cache.blob_path(repository, file)
    if not os.path.lexists(blob):
        return None
    digest = Digest(file)
    try:
        with open(blob, "rb") as reader:
            digest.read(reader)
    except OSError as error:
        raise Wrong(error.strerror or str(error)) from error
    return digest.verify()


def arrived_bytes(repository: Path, file: CachedFile) -> int:
    """What an earlier run left of a file that is not whole; more than the file has is worthless."""
    try:
        size_bytes = cache.partial_path(repository, file).stat().st_size
    except OSError:
        return 0
    return size_bytes if size_bytes <= file.size_bytes else 0


class Transfer:
    """One file on its way. `count` is told how many bytes have come, or are lost again."""

    def __init__(
        self, order: Order, source: HubRepository, commit: str, file: CachedFile, count: Count
    ) -> None:
        self._order = order
        self._title = f"{source.title}: {file.path}"
        self._file = file
        self._count = count
        self._url = hf_hub_url(source.repository, file.path, revision=commit)
        self._headers = {**build_hf_headers(), "Accept-Encoding": "identity"}

    def run(self, repository: Path, say: Say) -> CachedFile:
        """Fetch it and put it in place.

        Raises:
            BootstrapError: what comes is wrong, also when fetched again.
            OSError: the disk failed or is full.
            Exception: the hub refuses, or failed too often; for `reasons.explain`.
        """
        partial = cache.partial_path(repository, self._file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(WHOLE_TRIES)):
            try:
                file = self._fetch(repository, partial, say)
                break
            except Wrong as error:
                disk.remove(partial)
                if not left:
                    raise self._refuse(error) from None
                say(f"{self._title}: {error}; fetching it from the beginning")
        os.replace(partial, cache.blob_path(repository, file))
        disk.sync_folder(partial.parent)
        return file

    def _fetch(self, repository: Path, partial: Path, say: Say) -> CachedFile:
        """All of it into `partial`, verified and synced."""
        if arrived_bytes(repository, self._file) == 0:
            disk.remove(partial)
            self._fetch_by_xet(partial, say)
        digest = Digest(self._file)
        with open(partial, "a+b", buffering=0) as writer:
            writer.seek(0)
            digest.read(writer)
            try:
                self._patiently(writer, digest, say)
                file = digest.verify()
            except Wrong:
                self._count(-digest.seen_bytes)
                raise
            os.fsync(writer.fileno())
        return file

    def _fetch_by_xet(self, partial: Path, say: Say) -> None:
        """Try the faster way. Whatever it leaves is verified like the rest, or thrown away."""
        draft = partial.with_suffix(".xet")
        try:
            if xet.is_wanted() and xet.bring(
                self._url, self._headers, draft, self._file.size_bytes
            ):
                os.replace(draft, partial)
                self._count(self._file.size_bytes)
        except Exception as error:
            xet.give_up()
            say(f"{self._title}: Xet failed ({reasons.first_line(error)}); going on without it")
        finally:
            disk.remove(draft)

    def _patiently(self, writer: RawIOBase, digest: Digest, say: Say) -> None:
        """Read on until the file is there; stop after some failures without a new byte."""
        failures, reached_bytes = 0, digest.seen_bytes
        while digest.seen_bytes < self._file.size_bytes:
            try:
                self._read_on(writer, digest)
            except Exception as error:
                failures = failures + 1 if digest.seen_bytes == reached_bytes else 1
                reached_bytes = digest.seen_bytes
                if failures >= self._order.attempts or not reasons.is_passing(error):
                    raise
                pause(self._order, failures, error, self._title, say)

    def _read_on(self, writer: RawIOBase, digest: Digest) -> None:
        """One request for what is missing."""
        begin = digest.seen_bytes
        headers = {**self._headers, "Range": f"bytes={begin}-"} if begin else self._headers
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", self._url, headers=headers, timeout=timeout) as response:
            hf_raise_for_status(response)
            if begin and not response.headers.get("Content-Range", "").startswith(
                f"bytes {begin}-"
            ):
                raise Wrong("the hub does not go on where it is asked to")
            for piece in response.iter_bytes():
                write_all(writer, piece)
                digest.update(piece)
                self._count(len(piece))
                if digest.seen_bytes > self._file.size_bytes:
                    raise Wrong(f"more than {self._file.size_bytes} bytes")
        if digest.seen_bytes < self._file.size_bytes:
            raise reasons.Truncated(f"{digest.seen_bytes} of {self._file.size_bytes} bytes came")

    def _refuse(self, error: Wrong) -> BootstrapError:
        return BootstrapError(
            f"Refusing {self._title}: the hub sent {error}",
            "Nothing of it was kept; see whether HF_ENDPOINT or a proxy changes what is fetched",
        )


def write_all(writer: RawIOBase, piece: bytes) -> None:
    """An unbuffered file takes as much as it can, and says no only after that."""
    left = memoryview(piece)
    while left:
        left = left[writer.write(left) or 0 :]


def pause(order: Order, failures: int, error: Exception, title: str, say: Say) -> None:
    """Wait before trying again: as long as the hub asks, else longer each time."""
    asked_s = reasons.wanted_wait_s(error)
    wait_s = order.delay_s * 2 ** (failures - 1) if asked_s is None else asked_s
    say(f"{title}: {reasons.short(error)}; trying again in {wait_s:.0f} s")
    time.sleep(wait_s)
