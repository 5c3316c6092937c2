"""A form with a file: the file goes to the disk as it comes, the other fields are short texts.

The file may be the last field, so nothing of the form is judged before all of it is read. It is
never whole in memory, and has no name on the disk: whatever happens, nothing stays behind.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from realtime.rest.problem import Problem, unread

FILE_FIELD = "file"
MAX_FIELDS = 64
MAX_TEXT_BYTES = 16_384
PIECE_BYTES = 262_144
IDLE_S = 30.0
"""An upload of which nothing comes for so long is given up."""

SLOWEST_BYTES_PER_S = 65_536
LEAST_TOTAL_S = 60.0
"""Added to the time in which the largest upload comes at that pace, for the whole of any."""

LEAST_BYTES_PER_S = 8_192
"""After `LEAST_TOTAL_S` a form has come at least at this pace, or is given up: who sends a byte now
and then would keep a place that others want."""

BROKEN = (ValueError, AssertionError, LookupError, HttpProcessingError)
"""What aiohttp raises of a form that is none."""


@dataclass
class Form:
    """A form that was read. A field may come several times."""

    file: IO[bytes]
    """Open, and empty where none was sent."""
    size_bytes: int = 0
    has_file: bool = False
    fields: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str, default: str = "") -> str:
        """The first value of a field."""
        return next(iter(self.fields.get(name, ())), default)

    def all(self, name: str) -> list[str]:
        """Every value of a field, under its own name, that with brackets, or with a number in
        them."""
        return [
            value
            for key, values in self.fields.items()
            if key == name or (key.startswith(f"{name}[") and key.endswith("]"))
            for value in values
        ]


@asynccontextmanager
async def read_form(request: web.Request, *, max_bytes: int) -> AsyncGenerator[Form, None]:
    """A multipart form with at most `max_bytes` of file; the file is closed afterwards.

    Raises:
        Problem: it cannot be read, or is too large; names the field where one is at fault.
        ClientGone: the client left before its end.
    """
    if not request.content_type.startswith("multipart/"):
        raise Problem(415, "send the file as multipart/form-data", code="unsupported_media_type")
    if (request.content_length or 0) > max_bytes + MAX_FIELDS * MAX_TEXT_BYTES:
        raise _too_large(max_bytes)
    with await asyncio.to_thread(_nameless) as file:
        form = Form(file)
        total_s = LEAST_TOTAL_S + max_bytes / SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout(total_s) as whole:
                await _read(request, form, max_bytes)
        except TimeoutError:
            message = f"nothing of the upload came for {IDLE_S:g} s, or hardly anything for longer"
            if whole.expired():
                message = f"the upload took longer than {total_s:.0f} s: send it compressed"
            raise Problem(408, message, code="timeout") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise unread(request, error) from error
        except BROKEN as error:
            message = f"the form cannot be read: {error}"
            raise Problem(400, message, code="invalid_form") from error
        yield form


class Pace:
    """Of the bytes in all fields of a form, since it was begun."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._begun_s, self._size_bytes = self._now(), 0

    async def of(self, part: BodyPartReader, most: int) -> bytes:
        """What comes next of a field; nothing at its end.

        Raises:
            TimeoutError: nothing came, or too little since the beginning.
        """
        async with asyncio.timeout(IDLE_S):
            piece = await part.read_chunk(most)
        self.came(len(piece))
        return piece

    def came(self, size_bytes: int = 0) -> None:
        """So many bytes more.

        Raises:
            TimeoutError: with them it is still too little.
        """
        self._size_bytes += size_bytes
        spent_s = self._now() - self._begun_s - LEAST_TOTAL_S
        if self._size_bytes < spent_s * LEAST_BYTES_PER_S:
            raise TimeoutError


async def _read(request: web.Request, form: Form, max_bytes: int) -> None:
    parts, pace = await request.multipart(), Pace()
    for _ in range(MAX_FIELDS):
        async with asyncio.timeout(IDLE_S):
            part = await parts.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise ValueError("a field holds a form of its own")
        if part.name == FILE_FIELD:
            if form.has_file:
                raise Problem(400, "one file is taken at a time", param=FILE_FIELD)
            form.has_file = True
            await _keep(part, form, pace, max_bytes)
        else:
            name = part.name or ""
            form.fields.setdefault(name, []).append(await _text(part, name, pace))
    raise ValueError(f"it has more than {MAX_FIELDS} fields")


async def _keep(part: BodyPartReader, form: Form, pace: Pace, max_bytes: int) -> None:
    while piece := await pace.of(part, PIECE_BYTES):
        form.size_bytes += len(piece)
        if form.size_bytes > max_bytes:
            raise _too_large(max_bytes)
        await asyncio.to_thread(form.file.write, piece)


async def _text(part: BodyPartReader, name: str, pace: Pace) -> str:
    body = bytearray()
    while piece := await pace.of(part, MAX_TEXT_BYTES):
        body += piece
        if len(body) > MAX_TEXT_BYTES:
            message = f"'{name}': at most {MAX_TEXT_BYTES} bytes of a text are taken"
            raise Problem(413, message, code="too_large", param=name)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Problem(400, f"'{name}' is not UTF-8 text", param=name) from None


def _nameless() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="banter-")


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        413,
        f"'file': at most {max_bytes / 2**20:g} MiB are taken: send it compressed or in parts, or "
        "start the server with a higher --upload-mib (BANTER_UPLOAD_MIB)",
        code="too_large",
        param=FILE_FIELD,
    )
