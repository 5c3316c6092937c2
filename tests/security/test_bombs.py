"""Uploads that are small on the wire and large when they are opened.

What a sound file may claim of itself is told in `tests/test_sound_file.py`; here it comes in from
outside.
"""

from __future__ import annotations

import gzip
import io
import resource
import sys
import zlib

import aiohttp
import pytest

from realtime.metrics import Metrics
from realtime.rest.transcriptions import UploadLimits
from realtime.server import make_app
from realtime.session_config import SessionConfig
from tests.bombs import constant_flac, mp4_of_samples
from tests.security.conftest import Serve

HEARING = "/v1/audio/transcriptions"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
JSON = {"Content-Type": "application/json"}
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
BOMB_MIB = 256
GROWS_MIB = 128
"""Less than any of them holds."""


@pytest.fixture
async def url(runtime, manners, serve: Serve) -> str:
    uploads = UploadLimits(mib=1, minutes=1)
    server = await serve(make_app(runtime, Metrics(), SessionConfig(), manners, uploads=uploads))
    return str(server.make_url("")).rstrip("/")


def peak_mib() -> float:
    """The most that this process has ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def packed(body: bytes, kind: str) -> bytes:
    """A beginning and 256 MiB of zeros behind it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31 if kind == "gzip" else 15)
    zeros = bytes(2**20)
    pieces = [packer.compress(body)] + [packer.compress(zeros) for _ in range(BOMB_MIB)]
    return b"".join([*pieces, packer.flush()])


@pytest.mark.parametrize(
    ("path", "headers", "begin", "kind"),
    [
        (HEARING, FORM, HEAD, "gzip"),
        (HEARING, FORM, HEAD, "deflate"),
        ("/v1/audio/speech", JSON, b'{"input": "', "gzip"),
        ("/v1/realtime/client_secrets", JSON, b'{"session": "', "deflate"),
    ],
)
async def test_a_body_that_unpacks_to_much_is_refused(http, url, path, headers, begin, kind):
    body = packed(begin, kind)
    assert len(body) < 2 * 2**20
    before = peak_mib()
    try:
        sent = {**headers, "Content-Encoding": kind}
        async with http.post(url + path, data=io.BytesIO(body), headers=sent) as answer:
            assert answer.status in (400, 413)
    except aiohttp.ClientConnectionError:
        pass  # cut off in the middle is refused too
    assert peak_mib() - before < GROWS_MIB
    async with http.get(url + "/health") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("how", ["gzip", "base64"])
async def test_a_part_that_is_packed_is_taken_as_it_comes(http, url, how):
    """What a part says of its encoding is not followed: its bytes are the file."""
    lines = {"gzip": b"Content-Encoding: gzip", "base64": b"Content-Transfer-Encoding: base64"}
    head = HEAD.replace(b"\r\n\r\n", b"\r\n" + lines[how] + b"\r\n\r\n")
    zeros = gzip.compress(bytes(16 * 2**20)) if how == "gzip" else b"AAAA" * 1_000
    async with http.post(url + HEARING, data=head + zeros + b"\r\n--x--\r\n", headers=FORM) as got:
        assert got.status == 400
        assert (await got.json())["error"]["code"] == "unsupported_audio"


@pytest.mark.parametrize(
    "sound",
    [
        constant_flac(1, block=65_535),
        mp4_of_samples(2**31 - 1),
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\xff\xff" + b"\xff" * 64,
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"OggS" + b"\xff" * 4_096,
        b"\x1f\x8b" + b"\xff" * 4_096,
        b"PK\x03\x04" + b"\x00" * 4_096,
    ],
    ids=["slow", "tables", "wave", "playlist", "list", "ogg", "gzip", "zip"],
)
async def test_a_sound_that_claims_much_or_names_files_is_refused(http, url, sound):
    before = peak_mib()
    form = aiohttp.FormData()
    form.add_field("file", sound, filename="../../etc/passwd")
    async with http.post(url + HEARING, data=form) as answer:
        assert answer.status in (400, 413)
        assert b"root:" not in await answer.read()
    assert peak_mib() - before < GROWS_MIB
