"""A sound file of any kind that FFmpeg (PyAV) opens -> 16-bit mono at 16 kHz, block by block.

What is uploaded is a stranger's file. It is read through a file object, and only as one of the
kinds below: playlists and the like, which would make FFmpeg open addresses and other files, are not
among them. A damaged packet is left out, as players do; a file of which nothing can be decoded is
refused.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from typing import IO, Any

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.errors import SoundRefused

BLOCK_S = 10.0
"""Decoded in one go: some 10 ms of work."""

LEAST_BITS_PER_S = 2_000
"""A head that claims so much sound for so few bytes was written before its end was known."""

KINDS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,gsm,matroska,webm,mov,mp3,mp4,"
    "mpeg,mpegts,ogg,opus,tta,w64,wav,wv"
)
"""FFmpeg's demuxers that may be used; `mov` is that of MP4 and M4A too."""

OPTIONS = {"format_whitelist": KINDS, "protocol_whitelist": "none"}


class SoundFile:
    """One open file; `open` and `blocks` block, and belong to one thread at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` can be read and sought; whoever opened it closes it."""
        self._file = file
        self._container: Any = None
        self.claimed_s: float | None = None
        """What the file says of its length, where it says so and that can be."""

    def open(self) -> None:
        """
        Raises:
            SoundRefused: it is no sound file, or of a kind that is not read.
        """
        import av

        size_bytes = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        try:
            self._container = av.open(self._file, options=OPTIONS, metadata_errors="replace")
            stream = self._container.streams.best("audio")
        except (av.FFmpegError, ValueError, OverflowError) as error:
            self.close()
            raise SoundRefused(
                "the file cannot be read as sound: send flac, mp3, mp4, m4a, mpeg, ogg, opus, wav, "
                "webm, or another container that FFmpeg opens"
            ) from error
        if stream is None:
            self.close()
            raise SoundRefused("the file holds no sound track")
        self._stream = stream
        if self._container.duration:
            claimed_s = self._container.duration / av.time_base
            if size_bytes * 8 / claimed_s >= LEAST_BITS_PER_S:
                self.claimed_s = claimed_s

    def close(self) -> None:
        """Let go of the decoder; may be called again."""
        if self._container is not None:
            self._container.close()
        self._container = None

    def blocks(self) -> Iterator[Int16]:
        """The sound in blocks of `BLOCK_S` or a little more, the last one shorter.

        Raises:
            SoundRefused: nothing in it can be decoded.
        """
        held: list[Int16] = []
        samples = total = 0
        for piece in _resampled(self._frames()):
            held.append(piece)
            samples += len(piece)
            if samples >= BLOCK_S * EAR_RATE_HZ:
                yield np.concatenate(held)
                held, total, samples = [], total + samples, 0
        if not total + samples:
            raise SoundRefused("nothing in the file could be decoded as sound: is it whole?")
        if held:
            yield np.concatenate(held)

    def _frames(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return  # cut off: what came before it counts
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue


def _resampled(frames: Iterator[Any]) -> Iterator[Int16]:
    """Frames of any layout and rate to 16 kHz mono; these may change within a file."""
    import av

    resampler: Any = None
    shape: tuple[Any, ...] = ()
    for frame in frames:
        frame.pts = None  # gaps and jumps of a broken clock are not filled in
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or found != shape:
            yield from _drained(resampler)
            resampler, shape = av.AudioResampler("s16", "mono", EAR_RATE_HZ), found
        for out in resampler.resample(frame):
            yield out.to_ndarray()[0]
    yield from _drained(resampler)


def _drained(resampler: Any) -> Iterator[Int16]:
    for out in resampler.resample(None) if resampler else ():
        yield out.to_ndarray()[0]


async def read_sound(
    file: IO[bytes], pool: Executor, *, longest_s: float
) -> AsyncGenerator[Int16, None]:
    """Blocks of a file as 16 kHz mono, each decoded on a thread of `pool` when it is asked for.

    Raises:
        SoundRefused: it cannot be read, or is longer than `longest_s`; where the file says so, at
            once, else when that much has been decoded.
    """
    loop = asyncio.get_running_loop()
    sound = SoundFile(file)
    try:
        await _whole(loop.run_in_executor(pool, sound.open))
        if sound.claimed_s and sound.claimed_s > longest_s + BLOCK_S:
            raise _too_long(longest_s)
        blocks, samples = sound.blocks(), 0
        while (block := await _whole(loop.run_in_executor(pool, next, blocks, None))) is not None:
            samples += len(block)
            if samples > longest_s * EAR_RATE_HZ:
                raise _too_long(longest_s)
            yield block
    finally:
        await loop.run_in_executor(pool, sound.close)


async def _whole(work: asyncio.Future[Any]) -> Any:
    """Wait for a thread's work even when cancelled: the file must not be closed under it."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


def _too_long(longest_s: float) -> SoundRefused:
    return SoundRefused(
        f"the recording is longer than {longest_s / 60:g} minutes, the most that is taken: cut it, "
        "or start the server with a higher --upload-minutes (BANTER_UPLOAD_MINUTES)",
        code="too_long",
    )
