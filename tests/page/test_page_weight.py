"""What the page costs and whom it asks: few bytes, and nobody but its own server."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from conftest import OpenPage
from mock_server import STATIC, MockServer
from scenes import cloning, latency

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MAX_BYTES = 153_000  # of all files with every panel opened; the server sends them packed, as 58 kB


async def test_a_whole_visit_is_small_and_asks_nobody_else(
    mock: MockServer, open_page: OpenPage
) -> None:
    page = await open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    await page.goto(mock.url)
    await latency(page, mock)  # a conversation loads the worklets
    await page.locator("#save-open").click()
    async with page.expect_download():
        await page.get_by_role("button", name="Download as text").click()
    await cloning(page, mock)
    own = urlsplit(mock.url).netloc
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {own}
    assert any(url.startswith("ws:") for url in asked)

    shipped = {f"/static/{path.name}" for path in STATIC.iterdir()} - {
        "/static/index.html",
        "/static/package.json",
    }
    assert shipped <= set(mock.served_bytes), (
        "files that nothing asks for, or a visit that is not whole"
    )
    assert sum(mock.served_bytes.values()) <= MAX_BYTES
