"""A stranger's sound file -> 16-bit mono at 16 kHz, in a process of its own.

A few hundred bytes can claim tables of gigabytes, keep a decoder busy for minutes or break it. So
`sound_file.py` runs this file as a program, with a bound on its memory, and kills it when nobody
waits any more. It imports nothing of Banter: what it costs to begin is PyAV, some 0.1 s.

The file is standard input. Standard output is frames: a letter, the length of what follows as four
bytes (little-endian), and that.

h   once: {"claimed_s": number or null}, what the file says of its length
s   a block of samples, little-endian
e   {"message": ...}: it is refused; nothing follows
.   the end, empty

It is read through a file object, and only as one of the kinds below: playlists and the like, which
would make FFmpeg open addresses and other files, are not among them.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any

RATE_HZ = 16_000
BLOCK_S = 10.0
"""Decoded in one go: some 10 ms of work."""

MEMORY_MIB = 768
"""Of address space, of which the program itself takes some 130."""

LEAST_RATE_HZ, MOST_RATE_HZ = 4_000, 768_000
MOST_CHANNELS = 64
MOST_SILENT_PACKETS = 5_000
"""In a row that give no sound: some 100 s of most kinds."""

KINDS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,gsm,matroska,webm,mov,mp3,mp4,"
    "mpeg,mpegts,ogg,opus,tta,w64,wav,wv"
)
"""FFmpeg's demuxers that may be used; `mov` is that of MP4 and M4A too."""

OPTIONS = {"format_whitelist": KINDS, "protocol_whitelist": "none"}

HEAD = struct.Struct("<cI")
CLAIM, SOUND, REFUSAL, END = b"h", b"s", b"e", b"."

UNREADABLE = (
    "the file cannot be read as sound: send flac, mp3, mp4, m4a, mpeg, ogg, opus, wav, webm, or "
    "another container that FFmpeg opens"
)
NOTHING = "nothing in the file could be decoded as sound: is it whole?"


class Unreadable(Exception):
    """The file will not do; the message is for whoever sent it."""


class Decoder:
    """One open file. All of it blocks."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` can be read and sought; whoever opened it closes it."""
        self._file = file
        self._container: Any = None
        self._resampler: Any = None
        self._shape: tuple[Any, ...] = ()

    def open(self) -> float | None:
        """What the file says of its length, in seconds.

        Raises:
            Unreadable: it is no sound file, or of a kind that is not read.
        """
        import av

        self._file.seek(0)
        try:
            self._container = av.open(self._file, options=OPTIONS, metadata_errors="replace")
            stream = self._container.streams.best("audio")
        except (av.FFmpegError, ValueError, OverflowError) as error:
            raise Unreadable(UNREADABLE) from error
        if stream is None:
            raise Unreadable("the file holds no sound track")
        self._stream = stream
        context = stream.codec_context
        if context is None:
            raise Unreadable(UNREADABLE)
        context.thread_count = 1
        _check(context.sample_rate or RATE_HZ, context.channels or 1)
        claimed = self._container.duration
        return claimed / av.time_base if claimed and claimed > 0 else None

    def close(self) -> None:
        """Let go of the decoder; may be called again."""
        if self._container is not None:
            self._container.close()
        self._container = None

    def blocks(self) -> Iterator[bytes]:
        """The sound in blocks of `BLOCK_S` or a little more, the last one shorter.

        Raises:
            Unreadable: nothing in it can be decoded, or too little of it.
        """
        held, told = bytearray(), False
        for piece in self._pieces():
            held += piece
            if len(held) >= BLOCK_S * RATE_HZ * 2:
                yield bytes(held)
                told = True
                held.clear()
        if held:
            yield bytes(held)
        elif not told:
            raise Unreadable(NOTHING)

    def _pieces(self) -> Iterator[bytes]:
        """Damaged packets are left out, as players do, unless there are too many in a row."""
        silent = 0
        for packet in self._packets():
            piece = self._decoded(packet)
            silent = 0 if piece else silent + 1
            if silent > MOST_SILENT_PACKETS:
                raise Unreadable(
                    f"the file is damaged: {MOST_SILENT_PACKETS} packets in a row hold no sound"
                )
            yield piece
        yield self._drained()

    def _packets(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return  # cut off: what came before it counts
            if packet is None:
                return
            yield packet

    def _decoded(self, packet: Any) -> bytes:
        """What one packet adds; nothing where it is damaged."""
        import av

        sound = bytearray()
        try:
            for frame in packet.decode():
                sound += self._resampled(frame)
        except (av.FFmpegError, ValueError):
            self._resampler = None
        return bytes(sound)

    def _resampled(self, frame: Any) -> bytes:
        """A frame of any layout and rate to 16 kHz mono; these may change within a file."""
        import av

        _check(frame.sample_rate, frame.layout.nb_channels)
        frame.pts = None  # gaps and jumps of a broken clock are not filled in
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = b""
        if self._resampler is None or found != self._shape:
            before = self._drained()
            self._resampler, self._shape = av.AudioResampler("s16", "mono", RATE_HZ), found
        return before + _samples(self._resampler.resample(frame))

    def _drained(self) -> bytes:
        """What the resampler still holds."""
        import av

        resampler, self._resampler = self._resampler, None
        try:
            return _samples(resampler.resample(None)) if resampler else b""
        except (av.FFmpegError, ValueError):
            return b""


def _samples(frames: list[Any]) -> bytes:
    return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)


def _check(rate_hz: int, channels: int) -> None:
    """A frame at one sample a second would be an hour at 16 kHz."""
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        raise Unreadable(
            f"the sound has {rate_hz} samples a second: send one with {LEAST_RATE_HZ} to "
            f"{MOST_RATE_HZ}"
        )
    if channels > MOST_CHANNELS:
        raise Unreadable(f"the sound has {channels} channels: at most {MOST_CHANNELS} are taken")


def _confine() -> None:
    """Bounds on this process, as far as the system knows them."""
    import resource

    bounds = {
        resource.RLIMIT_AS: MEMORY_MIB << 20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for which, bound in bounds.items():
        hard = resource.getrlimit(which)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        try:
            resource.setrlimit(which, (bound, bound))
        except (OSError, ValueError):  # macOS does not bound address space
            continue


def main() -> None:
    import av

    av.logging.set_level(None)
    _confine()
    out = sys.stdout.buffer

    def tell(kind: bytes, data: bytes = b"") -> None:
        out.write(HEAD.pack(kind, len(data)) + data)
        out.flush()

    decoder = Decoder(sys.stdin.buffer)
    try:
        tell(CLAIM, json.dumps({"claimed_s": decoder.open()}).encode())
        for block in decoder.blocks():
            tell(SOUND, block)
        tell(END)
    except Unreadable as refused:
        tell(REFUSAL, json.dumps({"message": str(refused)}).encode())
    except MemoryError:
        message = f"decoding the file takes more than {MEMORY_MIB} MiB of memory"
        tell(REFUSAL, json.dumps({"message": message}).encode())


if __name__ == "__main__":
    main()
