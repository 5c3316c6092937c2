"""A sound file of any kind that FFmpeg opens -> 16-bit mono at 16 kHz, block by block.

What is uploaded is a stranger's file: it is decoded by `sound_decoder.py`, in a process of its own
that is bounded in memory, and killed when nobody waits for it or nothing comes of it. Where such
bounds are not to be had (Windows), it is decoded in this process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import IO, Any, Protocol

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.engines import sound_decoder
from realtime.engines.sound_decoder import BLOCK_S, CLAIM, END, HEAD, REFUSAL, SOUND
from realtime.errors import SoundRefused

log = logging.getLogger("banter.sound_file")

LEAST_BITS_PER_S = 2_000
"""A head that claims so much sound for so few bytes was written before its end was known."""

SILENT_S = 30.0
"""A decoder of which nothing comes for so long is killed; a block takes it some 10 ms."""

CONFINED = os.name == "posix"
MOST_FRAME_BYTES = 64 << 20

KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")
"""Of the environment: the rest, such as keys, is no business of a decoder."""


class SoundSource(Protocol):
    """One file. `open`, `blocks` and `close` block, and belong to one thread at a time."""

    def open(self) -> float | None:
        """What the file says of its length, in seconds.

        Raises:
            SoundRefused: it is no sound file, or of a kind that is not read.
        """

    def blocks(self) -> Iterator[Int16]:
        """The sound in blocks of `BLOCK_S` or a little more, the last one shorter.

        Raises:
            SoundRefused: nothing in it can be decoded, or decoding it takes too much.
        """

    def stop(self) -> None:
        """From any thread: whoever waits for the next block waits no longer."""

    def close(self) -> None:
        """Let go of it; may be called again."""


class HereSound:
    """Decoded in this process."""

    def __init__(self, file: IO[bytes]) -> None:
        self._decoder = sound_decoder.Decoder(file)

    def open(self) -> float | None:
        with _refusals():
            return self._decoder.open()

    def blocks(self) -> Iterator[Int16]:
        with _refusals():
            yield from map(_int16, self._decoder.blocks())

    def stop(self) -> None:
        """A block that is being decoded cannot be stopped."""

    def close(self) -> None:
        self._decoder.close()


class ConfinedSound:
    """Decoded by a process that ends with it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def open(self) -> float | None:
        if self._stopped:
            raise SoundRefused("nobody waits for the file any more")
        self._file.flush()
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        # Our own module, without a shell; the file is what it reads from.
        self._process = subprocess.Popen(  # nosec B603
            [sys.executable, "-P", sound_decoder.__file__],
            stdin=self._file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        if self._stopped:
            self.stop()
        kind, data = self._frame()
        if kind != CLAIM:
            raise SoundRefused(sound_decoder.UNREADABLE)
        claimed_s: float | None = json.loads(data)["claimed_s"]
        return claimed_s

    def blocks(self) -> Iterator[Int16]:
        while True:
            kind, data = self._frame()
            if kind == END:
                return
            if kind != SOUND:
                raise SoundRefused(sound_decoder.NOTHING)
            yield _int16(data)

    def stop(self) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.stop()
        if self._process is not None:
            self._process.communicate()

    def _frame(self) -> tuple[bytes, bytearray]:
        kind, size = HEAD.unpack(self._read(HEAD.size))
        if size > MOST_FRAME_BYTES:
            raise self._broken("sent too much")
        data = self._read(size)
        if kind == REFUSAL:
            raise SoundRefused(json.loads(data)["message"])
        return kind, data

    def _read(self, size: int) -> bytearray:
        """Exactly so much of what the process says."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, data = self._process.stdout.fileno(), bytearray()
        while len(data) < size:
            if not _readable(pipe, SILENT_S):
                self.stop()
                raise SoundRefused(
                    f"decoding the file gave nothing for {SILENT_S:g} s: is it whole?"
                )
            piece = os.read(pipe, size - len(data))
            if not piece:
                raise self._broken("ended early")
            data += piece
        return data

    def _broken(self, how: str) -> SoundRefused:
        assert self._process is not None
        self._process.kill()
        status = self._process.wait()
        if not self._stopped:
            log.warning("the decoder of a file %s (status %d)", how, status)
        return SoundRefused("decoding the file failed: is it whole?")


def _readable(pipe: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(pipe)
    return bool(waiting.poll(seconds * 1000))


def open_sound(file: IO[bytes]) -> SoundSource:
    """`file` lies on the disk where the process is to be confined; its opener closes it."""
    return ConfinedSound(file) if CONFINED else HereSound(file)


async def read_sound(
    file: IO[bytes], pool: Executor, *, longest_s: float
) -> AsyncGenerator[Int16, None]:
    """Blocks of a file as 16 kHz mono, each waited for on a thread of `pool` when it is asked for:
    so many files are decoded at once as it has threads, but for the 2 s that a pipe holds.

    Raises:
        SoundRefused: it cannot be read, or is longer than `longest_s`; where the file says so, at
            once, else when that much has been decoded.
    """
    loop = asyncio.get_running_loop()
    sound = open_sound(file)
    size_bytes = file.seek(0, os.SEEK_END)

    async def work(do: Any, *given: Any) -> Any:
        """On a thread, to its end even when cancelled: what it works on is not closed under it."""
        running = loop.run_in_executor(pool, do, *given)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            sound.stop()
            await asyncio.wait({running})
            raise

    try:
        claimed_s = await work(sound.open)
        believed = claimed_s and size_bytes * 8 / claimed_s >= LEAST_BITS_PER_S
        if claimed_s and believed and claimed_s > longest_s + BLOCK_S:
            raise _too_long(longest_s)
        blocks, samples = sound.blocks(), 0
        while (block := await work(next, blocks, None)) is not None:
            samples += len(block)
            if samples > longest_s * EAR_RATE_HZ:
                raise _too_long(longest_s)
            yield block
    finally:
        sound.stop()
        await work(sound.close)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except sound_decoder.Unreadable as error:
        raise SoundRefused(str(error)) from error
    except MemoryError as error:
        raise SoundRefused("decoding the file takes more memory than there is") from error


def _int16(data: bytes | bytearray) -> Int16:
    return np.frombuffer(bytearray(data), np.int16)


def _too_long(longest_s: float) -> SoundRefused:
    return SoundRefused(
        f"the recording is longer than {longest_s / 60:g} minutes, the most that is taken: cut it, "
        "or start the server with a higher --upload-minutes (BANTER_UPLOAD_MINUTES)",
        code="too_long",
    )
