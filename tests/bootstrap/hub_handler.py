"""How the hub on this machine answers: as the real one does, or with the trouble that is due.

A repository's information, its tree, files by `resolve` with ETags and ranges, large ones (LFS) by
a redirect to a storage of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from small_models import LFS_FROM_BYTES, git_hash, listed, sha256

if TYPE_CHECKING:
    from fake_hub import Hub

PIECE_BYTES = 8_192


@dataclass
class Stored:
    """One repository of the hub."""

    files: dict[str, bytes]
    commit: str
    gated: bool = False
    token: str | None = None
    renamed_to: str | None = None
    older: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commits that are no longer what `main` is."""


@dataclass
class Trouble:
    """What happens to requests whose path has `part` in it, `times` times."""

    part: str
    kind: str
    times: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    hub: Hub
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up; that is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(lambda path, content, etag: self._send_file(path, content, etag))

    def do_HEAD(self) -> None:
        self._serve(lambda path, content, etag: self._answer(200, self._about(content, etag)))

    def _serve(self, send: Callable[[str, bytes, str], None]) -> None:
        hub = self.server.hub
        address = urlsplit(self.path)
        hub.requests.append(f"{self.command} {self.path}")
        trouble = hub.take_trouble(self.path, ("status",))
        if trouble is not None:
            self._answer(trouble.status, dict(trouble.headers), b'{"error": "as asked"}')
            return
        parts = unquote(address.path).strip("/").split("/")
        if parts[0] == "storage":
            hub.tokens_at_storage += "Authorization" in self.headers
            content = next(
                content
                for stored in hub.repositories.values()
                for files in (stored.files, *stored.older.values())
                for content in files.values()
                if sha256(content) == parts[1]
            )
            send(parse_qs(address.query)["path"][0], content, parts[1])
        elif parts[:2] == ["api", "models"]:
            self._inform("/".join(parts[2:4]), parts[4:])
        elif parts[2:3] == ["resolve"]:
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), send)
        else:
            self._answer(404, {})

    def _stored(self, name: str, revision: str, *, content: bool) -> Stored | None:
        """A repository that this caller may see; otherwise answers, and returns None."""
        stored = self.server.hub.repositories.get(name)
        token = self.headers.get("Authorization")
        if token == "Bearer wrong":
            said = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._answer(401, said, b'{"error": "Invalid credentials"}')
        elif stored is not None and stored.renamed_to is not None:
            moved = self.path.replace(name, stored.renamed_to, 1)
            self._answer(307, {"Location": moved}, b"")
        elif stored is None or (stored.token and token != f"Bearer {stored.token}"):
            # The real hub does not say which of the two it is.
            self._answer(401, {"X-Error-Code": "RepoNotFound"}, b'{"error": "not found"}')
        elif content and stored.gated:
            self._answer(403, {"X-Error-Code": "GatedRepo"}, b'{"error": "gated"}')
        elif revision in stored.older:
            return Stored(stored.older[revision], revision)
        elif revision not in ("main", stored.commit):
            self._answer(404, {"X-Error-Code": "RevisionNotFound"}, b'{"error": "revision"}')
        else:
            return stored
        return None

    def _inform(self, name: str, rest: list[str]) -> None:
        """`/api/models/<name>/revision/<revision>` and `.../tree/<revision>`."""
        if not rest or rest[0] not in ("revision", "tree"):
            self._answer(404, {})
            return
        stored = self._stored(name, rest[1], content=False)
        if stored is None:
            return
        entries = [listed(path, content) for path, content in sorted(stored.files.items())]
        if rest[0] == "tree":
            found: Any = [
                {"type": "file", "path": entry["path"], "size": entry["size"], "oid": entry["oid"]}
                | ({"lfs": entry["lfs"]} if "lfs" in entry else {})
                for entry in entries
            ]
        else:
            siblings = [
                {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]}
                | (
                    {"lfs": {**entry["lfs"], "sha256": entry["lfs"]["oid"]}}
                    if "lfs" in entry
                    else {}
                )
                for entry in entries
            ]
            found = {"id": name, "sha": stored.commit, "siblings": siblings, "private": False}
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(found).encode())

    def _resolve(
        self, name: str, revision: str, path: str, send: Callable[[str, bytes, str], None]
    ) -> None:
        stored = self._stored(name, revision, content=True)
        if stored is None:
            return
        if path not in stored.files:
            self._answer(404, {"X-Error-Code": "EntryNotFound"}, b'{"error": "entry"}')
            return
        content = stored.files[path]
        self._commit = stored.commit
        if len(content) < LFS_FROM_BYTES:
            send(path, content, git_hash(content))
            return
        hub = self.server.hub
        extra = {}
        if hub.xet:
            extra = {
                "X-Xet-Hash": sha256(content),
                "X-Xet-Refresh-Route": f"{hub.url}/api/models/{name}/xet-read-token/{revision}",
            }
        self._answer(
            302,
            {
                **extra,
                "Location": f"{hub.storage_url}/storage/{sha256(content)}?path={path}",
                "X-Repo-Commit": stored.commit,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{sha256(content)}"',
            },
            b"",
        )

    def _about(self, content: bytes, etag: str) -> dict[str, str]:
        commit = getattr(self, "_commit", "")
        return {
            "ETag": f'"{etag}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(content)),
        }

    def _send_file(self, path: str, content: bytes, etag: str) -> None:
        """The content, or the rest of it, with whatever trouble is due."""
        hub = self.server.hub
        trouble = hub.take_trouble(path, ("cut", "stall", "short", "wrong", "whole"))
        kind = trouble.kind if trouble else ""
        begin = 0
        asked = self.headers.get("Range", "")
        if asked and kind != "whole":
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            hub.ranges.setdefault(path, []).append(asked)
        body = content[begin:]
        if kind == "wrong":
            body = bytes(byte ^ 0xFF for byte in body)
        if kind == "short":
            body = b"" if begin else body[: len(body) // 2]
        about = self._about(content, etag) | {"Content-Length": str(len(body))}
        if begin:
            about["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._head(206 if begin else 200, about)
        half = 0 if kind == "stall" and begin else len(body) // 2
        with suppress(ConnectionError):
            self._pour(path, body[:half])
            if kind == "cut":
                self.close_connection = True
                return
            if kind == "stall":
                self.close_connection = True
                time.sleep(3.0)
                return
            if len(content) >= LFS_FROM_BYTES:
                hub.pass_gate()
            self._pour(path, body[half:])

    def _pour(self, path: str, body: bytes) -> None:
        hub = self.server.hub
        for at in range(0, len(body), PIECE_BYTES):
            piece = body[at : at + PIECE_BYTES]
            self.wfile.write(piece)
            hub.count(path, len(piece))
            if hub.bytes_a_second:
                time.sleep(len(piece) / hub.bytes_a_second)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        about = {"Content-Length": str(len(body)), **headers}
        self._head(status, about)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""
