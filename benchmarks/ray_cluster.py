"""A Ray cluster on this machine: a head and workers, each `banter cluster up` in a process group.

With `network`, each node has a network namespace with an address of its own on a bridge, as if it
were another machine; that needs root. Without, all have this machine's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.server import ROOT, Server, started_server, stop, wait_until_ready

READY_WITHIN_S = 240.0
STOPS_WITHIN_S = 25.0
BRIDGE, NET = "banter0", "10.77.0"


@dataclass
class Node:
    """One machine of the cluster, as far as anybody can tell."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """As if the machine lost its power: all its processes at once."""
        for pid in family(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def outer_address() -> str:
    """Of this machine, as Ray finds it: it does not take a loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def family(pid: int) -> list[int]:
    """A process and its descendants, the youngest last."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, ahead = [pid], [pid]
    while ahead:
        ahead = [child for each in ahead for child in children.get(each, [])]
        found += ahead
    return found


@dataclass
class Cluster:
    """A head and its workers."""

    folder: Path
    network: bool
    nodes: dict[str, Node] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    """Of the pools, and after `--` of the engines."""

    @property
    def at(self) -> str:
        return f"{self.nodes['head'].address}:6379"

    @property
    def engines(self) -> str:
        """What front ends are told."""
        return f"ray://{self.at}"

    def start_head(self, *, cpus: int) -> Node:
        return self._start("head", ["--head"], cpus)

    def start_worker(self, number: int, *, cpus: int) -> Node:
        return self._start(f"worker{number}", ["--join", self.at], cpus)

    def _start(self, name: str, role: list[str], cpus: int) -> Node:
        address = f"{NET}.{10 + len(self.nodes)}" if self.network else outer_address()
        if name in self.nodes:
            address = self.nodes[name].address
        elif self.network:
            add_machine(name, address)
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-m", "realtime", "cluster", "up", *role]
        command += ["--address", address, "--cpus", str(cpus), "--first-port", "0"]
        command += ["--folder", str(self.folder / "ray")]
        if name == "head":
            command += self.options
        if self.network:
            command = ["ip", "netns", "exec", namespace(name), *command]
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
            )
        self.nodes[name] = Node(name, address, process, log)
        return self.nodes[name]

    def report(self) -> dict[str, Any]:
        """`banter cluster status`; empty if it cannot be had."""
        command = [sys.executable, "-m", "realtime", "cluster", "status", "--json", "--at", self.at]
        if self.network:
            command = ["ip", "netns", "exec", namespace("head"), *command]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        found = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return found if isinstance(found, dict) else {}

    def replicas(self, pool: str) -> list[dict[str, Any]]:
        pools = self.report().get("pools", {})
        found: list[dict[str, Any]] = pools.get(pool, {}).get("replicas", [])
        return found

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Until the pools are deployed."""
        head, until_s = self.nodes["head"], time.monotonic() + within_s
        while b"The pools are ready." not in head.log.read_bytes():
            if head.process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"the cluster did not come up: {head.log.read_text()[-2000:]}")
            time.sleep(0.5)

    def stop(self) -> None:
        """All nodes, the head last."""
        for node in reversed(self.nodes.values()):
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes.values():
            try:
                node.process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                node.kill()


@contextmanager
def cluster(
    *, workers: int = 2, cpus: int = 2, network: bool = False, options: Sequence[str] = ()
) -> Iterator[Cluster]:
    """A cluster that is up, its pools deployed; `cpus` is what each worker gives to replicas."""
    folder = Path(tempfile.mkdtemp(prefix="banter-cluster-", dir="/tmp"))
    os.environ.setdefault("BANTER_CLUSTER_TOKEN", "b" * 64)
    made = Cluster(folder, network, options=tuple(options))
    if network:
        add_bridge()
    try:
        made.start_head(cpus=0 if workers else cpus)
        for number in range(workers):
            made.start_worker(number, cpus=cpus)
        made.wait_ready()
        yield made
    finally:
        made.stop()
        if network:
            remove_network(list(made.nodes))
        shutil.rmtree(folder / "ray", ignore_errors=True)


@asynccontextmanager
async def front_end(
    made: Cluster, number: int, replier: str, *options: str
) -> AsyncIterator[Server]:
    """A front end of the cluster; with `network` on a machine of its own."""
    options = ("--engines", made.engines, *options)
    if not made.network:
        async with started_server(replier, *options) as server:
            yield server
        return
    name, address = f"front{number}", f"{NET}.{100 + number}"
    add_machine(name, address)
    server = Server(f"http://{address}:8000", log=made.folder / f"{name}.log")
    assert server.log
    command = ["ip", "netns", "exec", namespace(name), sys.executable, "-m", "realtime"]
    command += ["--host", address, "--insecure", "on", "--replier", replier, *options]
    with server.log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
        )
    server.pid = process.pid
    try:
        await wait_until_ready(server, process)
        yield server
    finally:
        server.exit_code = await stop(process)
        ip("netns", "del", namespace(name), check=False)


# --- machines of one's own ----------------------------------------------------------------------


def namespace(name: str) -> str:
    return f"banter-{name}"


def add_bridge() -> None:
    """A bridge with this machine at its end."""
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")


def add_machine(name: str, address: str) -> None:
    """A namespace that hangs on the bridge."""
    space, inner, outer = namespace(name), "eth0", f"bt-{name}"
    ip("link", "del", outer, check=False)  # of a run before, which the kernel gives up slowly
    ip("netns", "del", space, check=False)
    ip("netns", "add", space)
    ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
    ip("link", "set", outer, "master", BRIDGE, "up")
    for words in (
        ("addr", "add", f"{address}/24", "dev", inner),
        ("link", "set", inner, "up"),
        ("link", "set", "lo", "up"),
        ("route", "add", "default", "via", f"{NET}.1"),
    ):
        ip("-n", space, *words)


def remove_network(names: Sequence[str]) -> None:
    for name in names:
        ip("netns", "del", namespace(name), check=False)
    ip("link", "del", BRIDGE, check=False)


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=not check)
