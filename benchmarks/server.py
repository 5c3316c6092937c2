"""The server as a child process: started, waited for, stopped; or one that runs already."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 240.0
STOPS_WITHIN_S = 15.0


@dataclass
class Server:
    """A server that answers, and what its start and stop were like."""

    url: str
    ready_s: float | None = None
    exit_code: int | None = None
    log: Path | None = None
    pid: int | None = None
    """Of a server that was started here."""
    key: str = ""
    """Shown with every request, where the server asks for one."""

    async def get(self, path: str) -> dict[str, Any] | None:
        """The JSON at a path, or None where there is none."""
        with suppress(aiohttp.ClientError, ValueError):
            answer = json.loads(await self.text(path))
            return answer if isinstance(answer, dict) else None
        return None

    async def text(self, path: str) -> str:
        """What is at a path."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(self.url + path) as response,
        ):
            return await response.text()

    async def status(self) -> dict[str, Any]:
        """What /status says of engines, sessions and the loop's lag; empty if it says nothing."""
        return await self.get("/status") or {}


def add_server_options(parser: ArgumentParser, replier: str = "echo") -> None:
    """--url for a server that runs, or --replier for the one to be started."""
    parser.add_argument("--url", help="http://host:port of a running server (starts one)")
    parser.add_argument("--replier", default=replier, help=f"echo or embedded ({replier})")


def room_for(callers: int) -> list[str]:
    """Options of a server that is to take so many callers, whatever it would choose itself.

    A place is free a moment after its call was hung up: who calls again and again needs more.
    """
    return ["--max-sessions", str(callers)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def is_ready(server: Server) -> bool:
    """Whether /health says that the server is up and all its models are loaded."""
    health = await server.get("/health") or {}
    return health.get("status") == "ok" and all(health.get("models", {}).values())


async def wait_until_ready(server: Server, process: asyncio.subprocess.Process) -> None:
    """Ask /health until it is content; a process that ends instead is an error."""
    begun_at = time.perf_counter()
    while time.perf_counter() - begun_at < READY_WITHIN_S:
        if process.returncode is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {tail(server.log)}")
        if await is_ready(server):
            server.ready_s = round(time.perf_counter() - begun_at, 2)
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"not ready within {READY_WITHIN_S:.0f} s: {tail(server.log)}")


def tail(log: Path | None, lines: int = 15) -> str:
    """The end of a log."""
    text = log.read_text(errors="replace").splitlines() if log else []
    return "\n".join(["", *text[-lines:]])


async def stop(process: asyncio.subprocess.Process) -> int | None:
    """SIGTERM, and SIGKILL only for a server that does not heed it; gives the exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOPS_WITHIN_S):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


@asynccontextmanager
async def started_server(
    replier: str, *options: str, module: tuple[str, ...] = ("realtime",)
) -> AsyncIterator[Server]:
    """A server of this working tree on a free port, with its output in a temporary file. `module`
    is what Python runs, with options of its own.
    """
    port = free_port()
    with tempfile.NamedTemporaryFile(prefix="banter-", suffix=".log", delete=False) as log:
        server = Server(f"http://127.0.0.1:{port}", log=Path(log.name))
        command = [sys.executable, "-m", *module, "--port", str(port), "--replier", replier]
        process = await asyncio.create_subprocess_exec(
            *command, *options, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )  # a session of its own: Ctrl-C is for who measures
        server.pid = process.pid
    try:
        await wait_until_ready(server, process)
        yield server
    finally:
        server.exit_code = await stop(process)


@asynccontextmanager
async def server_for(args: Namespace, *options: str) -> AsyncIterator[Server]:
    """The running server that --url names, or one started for --replier with more options."""
    if args.url:
        yield Server(args.url.rstrip("/"))
    else:
        module = getattr(args, "module", ("realtime",))
        async with started_server(args.replier, *options, module=module) as server:
            yield server
