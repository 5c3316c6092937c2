"""The page's files as they are sent: packed where the browser takes that, and few bytes in all."""

from __future__ import annotations

import gzip
from pathlib import Path

import aiohttp

from realtime.server import static_folder

MAX_SENT_BYTES = 100_000
PACKED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def files() -> list[Path]:
    return sorted(path for path in static_folder().iterdir() if path.is_file())


async def test_all_of_the_page_is_small_as_it_is_sent(server):
    sent = 0
    async with aiohttp.ClientSession(auto_decompress=False, headers=PACKED) as http:
        for path in files():
            async with http.get(server.make_url(f"/static/{path.name}")) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Encoding"] == "gzip"
                assert answer.headers["Vary"] == "Accept-Encoding"
                body = await answer.read()
            assert gzip.decompress(body) == path.read_bytes()
            sent += len(body)
    assert sent <= MAX_SENT_BYTES


async def test_who_takes_nothing_packed_gets_it_plain(server):
    [style] = [path for path in files() if path.name == "style.css"]
    async with aiohttp.ClientSession(headers=PLAIN) as http:
        async with http.get(server.make_url("/static/style.css")) as answer:
            assert "Content-Encoding" not in answer.headers
            assert answer.content_length == style.stat().st_size
            assert await answer.read() == style.read_bytes()
        async with http.head(server.make_url("/")) as answer:
            assert answer.status == 200


async def test_what_a_browser_has_already_is_not_sent_again(server):
    async with aiohttp.ClientSession(headers=PACKED) as http:
        url = server.make_url("/static/style.css")
        async with http.get(url) as first:
            tag = first.headers["ETag"]
        async with http.get(url, headers={"If-None-Match": tag}) as again:
            assert again.status == 304
            assert await again.read() == b""


async def test_a_part_of_a_file_is_a_part_of_the_file(server):
    async with (
        aiohttp.ClientSession(headers={**PACKED, "Range": "bytes=0-9"}) as http,
        http.get(server.make_url("/static/style.css")) as answer,
    ):
        assert answer.status == 206
        assert len(await answer.read()) == 10
