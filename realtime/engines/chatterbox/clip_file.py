"""A recording as somebody has sent it -> mono samples, and samples -> the file that is kept.

libsndfile reads it: WAV, FLAC, Ogg (Vorbis and Opus) and MP3. What it is given is a stranger's
file, so it is opened only where it begins like one of these, and no more of it is read than a clip
may be long. Without torch.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile

from realtime.audio import Float32
from realtime.errors import VoiceRefused
from realtime.reference_clip import MAX_S

KINDS = {"WAV", "WAVEX", "FLAC", "OGG", "MP3"}
RATES_HZ = (8_000, 96_000)
MAX_CHANNELS = 2
UNSUPPORTED = "unsupported_audio"
READABLE = "WAV, FLAC, Ogg (Vorbis, Opus) and MP3 can be read"


def decode(data: bytes) -> tuple[Float32, int]:
    """(samples in [-1, 1], rate in Hz); of a clip longer than `MAX_S`, a second more than that.

    Raises:
        VoiceRefused: it is none of these, or damaged, or has a rate or channels that no recording
            of a voice has; says so.
    """
    if not _begins_like_one(data):
        raise VoiceRefused(f"this is no audio file that is known: {READABLE}", code=UNSUPPORTED)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels = int(file.samplerate), int(file.channels)
            if file.format not in KINDS:
                raise VoiceRefused(f"{file.format} is not taken: {READABLE}", code=UNSUPPORTED)
            odd = rate > 65_535 and rate % 10  # FLAC, as which it is kept, has no such rate
            if odd or not RATES_HZ[0] <= rate <= RATES_HZ[1] or not 1 <= channels <= MAX_CHANNELS:
                raise VoiceRefused(
                    f"{channels} channels at {rate} Hz: one or two at {RATES_HZ[0]} to "
                    f"{RATES_HZ[1]} Hz are taken",
                    code=UNSUPPORTED,
                )
            frames = file.read(int((MAX_S + 1) * rate), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise VoiceRefused(f"the file is damaged: {error}. {READABLE}", code=UNSUPPORTED) from error
    audio: Float32 = frames.mean(axis=1, dtype=np.float32)
    if not len(audio) or not np.isfinite(audio).all():
        raise VoiceRefused("the file holds no samples, or such as are no numbers", code=UNSUPPORTED)
    return audio, rate


def _begins_like_one(data: bytes) -> bool:
    if data[:4] in (b"RIFF", b"RF64"):
        return data[8:12] == b"WAVE"
    mp3 = data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] >= b"\xe0")
    return mp3 or data[:4] in (b"fLaC", b"OggS")


def encode(audio: Float32, rate_hz: int) -> bytes:
    """A mono clip as FLAC of 16 bits, as it is kept: nothing of the sender's file but the sound."""
    kept = io.BytesIO()
    soundfile.write(kept, np.clip(audio, -1.0, 1.0), rate_hz, format="FLAC", subtype="PCM_16")
    return kept.getvalue()
