"""HAProxy as a child process, with deploy/haproxy.cfg, before front ends that run already.

    async with started_balancer(["http://127.0.0.1:8001", "127.0.0.1:8002"]) as balancer:
        balancer.url         where callers come in
        await balancer.drain(1)

The file is taken as it is, but for its two `server-template` lines, which find front ends by a name
in DNS: in their place there is a line for each front end, `fe1`, `fe2` and so on.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import ROOT, free_port, tail

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
CALLS, WEB = "calls", "web"
"""The backends of that file: who gets new calls, and who everything else."""

UP_WITHIN_S = 15.0
STOPS_WITHIN_S = 5.0
LOOK_S = 0.05
_TEMPLATE = re.compile(r"^ +server-template .*$", re.MULTILINE)


def program() -> str | None:
    """HAProxy's path; Debian keeps it where only root looks."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


def configuration(front_ends: Sequence[str], changes: Mapping[str, str] | None = None) -> str:
    """deploy/haproxy.cfg with these front ends (`host:port`, or an address of http), and with
    pieces of its text changed.

    Raises:
        ValueError: a piece is not there, or the file finds its front ends in another way.
    """
    text = CONFIGURATION.read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        if old not in text:
            raise ValueError(f"{CONFIGURATION.name} has no {old!r}")
        text = text.replace(old, new)
    hosts = (each.removeprefix("http://").rstrip("/") for each in front_ends)
    lines = "\n".join(f"    server fe{n} {host}" for n, host in enumerate(hosts, 1))
    text, found = _TEMPLATE.subn(lines, text)
    if found != 2:
        raise ValueError(
            f"{CONFIGURATION.name} has {found} server-template lines, not one a backend"
        )
    return text


@dataclass
class Balancer:
    """One that runs. Front ends are numbered from 1, in the order in which they were given."""

    url: str
    statistics_url: str
    admin: Path
    """Its socket."""
    log: Path
    process: asyncio.subprocess.Process

    async def ask(self, command: str) -> str:
        """What the admin socket answers."""
        reader, writer = await asyncio.open_unix_connection(str(self.admin))
        writer.write(f"{command}\n".encode())
        try:
            return (await reader.read()).decode().strip()
        finally:
            writer.close()

    async def servers(self, backend: str = CALLS) -> dict[str, dict[str, str]]:
        """By name (`fe1`), HAProxy's own figures of each: `status`, `scur` (open now) and more."""
        lines = (await self.ask(f"show stat {backend} 4 -1")).removeprefix("# ").splitlines()
        return {row["svname"]: row for row in csv.DictReader(lines) if row["svname"]}

    async def drain(self, number: int) -> None:
        """A front end gets nothing new; what it has goes on."""
        await self._set(number, "state drain")

    async def weigh(self, number: int, percent: int) -> None:
        """Its share of what is new, against that which the file gives it; 0 drains it."""
        await self._set(number, f"weight {percent}%")

    async def restore(self, number: int) -> None:
        """It gets its share again."""
        await self._set(number, "state ready")
        await self.weigh(number, 100)

    async def until(self, number: int, status: str, backend: str = CALLS) -> None:
        """Wait until it has this status: `UP`, `DOWN`, `DRAIN`, `MAINT`."""
        async with asyncio.timeout(UP_WITHIN_S):
            while True:
                if (await self.servers(backend))[f"fe{number}"]["status"] == status:
                    return
                await asyncio.sleep(LOOK_S)

    async def holding(self, number: int, calls: int) -> None:
        """Wait until it has so many calls, by the balancer's count."""
        async with asyncio.timeout(UP_WITHIN_S):
            while True:
                if int((await self.servers())[f"fe{number}"]["scur"]) == calls:
                    return
                await asyncio.sleep(LOOK_S)

    async def _set(self, number: int, what: str) -> None:
        for backend in (CALLS, WEB):
            told = await self.ask(f"set server {backend}/fe{number} {what}")
            if "No such" in told or "unknown" in told.lower():
                raise ValueError(told)


@asynccontextmanager
async def started_balancer(
    front_ends: Sequence[str],
    *,
    changes: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
) -> AsyncIterator[Balancer]:
    """A balancer on free ports of this machine, before these front ends; `changes` as for
    `configuration`, or another `text` as a whole. Yields when it listens.

    Raises:
        RuntimeError: there is no HAProxy, or it did not start; says what it said.
    """
    haproxy = program()
    if haproxy is None:
        raise RuntimeError("haproxy is not installed: apt-get install haproxy")
    with tempfile.TemporaryDirectory(prefix="banter-balancer-") as folder:
        home = Path(folder)
        file, admin, log = home / "haproxy.cfg", home / "admin.sock", home / "haproxy.log"
        file.write_text(text or configuration(front_ends, changes), encoding="utf-8")
        at, statistics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        own = {"BALANCER_BIND": at, "BALANCER_STATS": statistics, "BALANCER_SOCKET": str(admin)}
        others = {k: v for k, v in os.environ.items() if not k.startswith("BALANCER_")}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(haproxy, "-db", "-f", str(file)),
                env={**others, **own, **(environment or {})},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        balancer = Balancer(f"http://{at}", f"http://{statistics}", admin, log, process)
        try:
            await _listening(balancer)
            yield balancer
        finally:
            await _stop(process)


async def _listening(balancer: Balancer) -> None:
    async with asyncio.timeout(UP_WITHIN_S):
        while True:
            if balancer.process.returncode is not None:
                raise RuntimeError(f"haproxy did not start: {tail(balancer.log)}")
            try:
                await balancer.ask("show info")
                return
            except OSError:
                await asyncio.sleep(LOOK_S)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Calls that run through it are cut."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOPS_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
