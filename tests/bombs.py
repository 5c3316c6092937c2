"""Small files that claim much, or hold nothing."""

from __future__ import annotations

import struct


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    top, mask, crc = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        crc ^= byte << (bits - 8)
        for _ in range(8):
            crc = ((crc << 1) ^ (polynomial if crc & top else 0)) & mask
    return crc


def constant_flac(rate_hz: int, *, block: int = 65_535, channels: int = 1) -> bytes:
    """FLAC of one frame, every sample of which is 0."""
    head = 0
    for value, bits in (
        *((block, 16), (block, 16), (0, 24), (0, 24), (rate_hz, 20)),
        *((channels - 1, 3), (15, 5), (0, 36), (0, 128)),
    ):
        head = (head << bits) | value
    frame = bytes([0xFF, 0xF8, 0x70, ((channels - 1) << 4) | 8, 0]) + struct.pack(">H", block - 1)
    frame += bytes([_crc(frame, 0x07, 8)]) + bytes(3 * channels)
    frame += struct.pack(">H", _crc(frame, 0x8005, 16))
    return b"fLaC\x80\x00\x00\x22" + head.to_bytes(34, "big") + frame


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _full(kind: bytes, *parts: bytes) -> bytes:
    return _box(kind, bytes(4), *parts)


def mp4_of_samples(count: int) -> bytes:
    """MP4 with AAC whose table says `count` samples of one byte each, in one line."""
    config = bytes([3, 25, 0, 1, 0, 4, 17, 0x40, 0x15, *bytes(11), 5, 2, 0x12, 0x10, 6, 1, 2])
    track = bytes(6) + struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, 44_100 << 16)
    table = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), _box(b"mp4a", track, _full(b"esds", config))),
        _full(b"stts", struct.pack(">III", 1, count, 1024)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        _full(b"stsz", struct.pack(">II", 1, count)),
        _full(b"stco", struct.pack(">II", 1, 64)),
    )
    here = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _box(b"url ", b"\0\0\0\1")))
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 44_100, 44_100, 0x55C4, 0)),
        _full(b"hdlr", bytes(4) + b"soun" + bytes(13)),
        _box(b"minf", _full(b"smhd", bytes(4)), here, table),
    )
    place = _full(b"tkhd", struct.pack(">IIIII60x", 0, 0, 1, 0, 1000))
    film = _full(b"mvhd", struct.pack(">IIII80x", 0, 0, 1000, 1000))
    head = _box(b"ftyp", b"isom\0\0\2\0isom")
    return head + _box(b"moov", film, _box(b"trak", place, media)) + _box(b"mdat", bytes(64))


def adts(payload: bytes, *, rate: int = 4) -> bytes:
    """A frame of AAC with this inside; `rate` is an index, 4 for 44.1 kHz and 6 for 24 kHz."""
    size = 7 + len(payload)
    head = [0xFF, 0xF1, 0x40 | rate << 2, 0x40 | size >> 11, (size >> 3) & 255]
    return bytes([*head, (size & 7) << 5 | 0x1F, 0xFC]) + payload
