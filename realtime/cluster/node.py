"""One machine's Ray node, kept running: `ray start --block`, again when it ends.

A head is deployed to each time it comes up. A node whose head was replaced ends by itself, and is
started again until it can join.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import subprocess  # nosec B404
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import SettingsError

log = logging.getLogger("banter.cluster.node")

HEAD_PORT = 6379
FIRST_PORT = 6380
"""Of Ray's own ports. Each replica listens for calls at another, that the system picks, on all of
the machine's addresses: only a firewall before the machine keeps others from it."""

PORTS = (
    *("node-manager-port", "object-manager-port", "runtime-env-agent-port"),
    *("dashboard-agent-grpc-port", "dashboard-agent-listen-port", "metrics-export-port"),
)
WORKER_PORTS = 10_002, 10_999
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
UP_S = 30.0
"""A node that lasted so long was well, and the next pause is short again."""

STOP_S = 15.0


@dataclass(frozen=True)
class NodePlan:
    """How this machine takes part. `head` empty: it is the head itself."""

    address: str
    head: str = ""
    port: int = HEAD_PORT
    cpus: int | None = None
    gpus: int | None = None
    first_port: int = FIRST_PORT
    """0: any free ones."""
    folder: Path | None = None
    store_mib: int = 200
    """Ray's object store; no audio goes through it."""

    @property
    def at(self) -> str:
        return self.head or f"{self.address}:{self.port}"


def check_address(address: str, *, tls: bool, insecure: bool) -> None:
    """Whoever reaches a Ray port runs code on all nodes.

    Raises:
        SettingsError: it is no address, or one that the whole internet may reach.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise SettingsError(
            f"--address (BANTER_CLUSTER_ADDRESS): '{address}' is not an IP address of this machine"
        ) from None
    if ip.is_unspecified:
        raise SettingsError(
            f"--address (BANTER_CLUSTER_ADDRESS): {address} is every network at once; name the "
            "private one that the nodes share"
        )
    if ip.is_loopback:
        raise SettingsError(
            "--address (BANTER_CLUSTER_ADDRESS): Ray takes the machine's outer address in place "
            f"of {address}; name the private one that the nodes share"
        )
    if ip.is_global and not insecure:
        hint = "" if tls else " and set RAY_USE_TLS=1 with certificates"
        raise SettingsError(
            f"--address (BANTER_CLUSTER_ADDRESS): {address} is a public address, and whoever "
            f"reaches a Ray port may run any code here. Use a private network or a tunnel{hint}, "
            "or say --insecure if a firewall stands before it"
        )


def ray_command(plan: NodePlan) -> list[str]:
    """`ray start` for this plan."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    command += [f"--node-ip-address={plan.address}", "--disable-usage-stats"]
    if plan.head:
        command.append(f"--address={plan.head}")
    else:
        command += ["--head", f"--port={plan.port}", "--include-dashboard=false"]
    if plan.first_port:
        command += [f"--{name}={plan.first_port + n}" for n, name in enumerate(PORTS)]
        command += [f"--min-worker-port={WORKER_PORTS[0]}", f"--max-worker-port={WORKER_PORTS[1]}"]
    if plan.cpus is not None:
        command.append(f"--num-cpus={plan.cpus}")
    if plan.gpus is not None:
        command.append(f"--num-gpus={plan.gpus}")
    if plan.folder:
        command.append(f"--temp-dir={plan.folder}")
    return [*command, f"--object-store-memory={plan.store_mib * 2**20}"]


class Node:
    """Keeps one running in this process's foreground; `up` is called each time it can be used."""

    def __init__(self, command: list[str], up: Callable[[], None]) -> None:
        self._command, self._up = command, up
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Until `stop`."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = time.monotonic()
            self._child = subprocess.Popen(  # nosec B603
                self._command, stdin=subprocess.DEVNULL, start_new_session=True
            )
            self._call_up()
            code = self._child.wait()
            self._end_family()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun_s > UP_S:
                pause_s = FIRST_PAUSE_S
            log.warning("the Ray node ended with %d; again in %g s", code, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the node and all its processes; may be called by a signal handler."""
        self._stopping.set()
        child = self._child
        if child and child.poll() is None:
            child.terminate()
            threading.Thread(target=self._make_sure, args=(child,), daemon=True).start()

    def _make_sure(self, child: subprocess.Popen[bytes]) -> None:
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._end_family()

    def _call_up(self) -> None:
        try:
            self._up()
        except Exception:
            log.exception("the node is up, and what was to follow failed")

    def _end_family(self) -> None:
        """What the node left: it has a process group of its own."""
        if child := self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
