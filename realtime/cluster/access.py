"""How a process of ours reaches a Ray cluster: its variables, and a node where there is none.

A Ray driver needs a Ray node on its own machine. A front end's machine often has none, so one
without processors or GPUs is started there, which takes part in no work.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess  # nosec B404
import sys
import time
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger("banter.cluster.access")

SCHEME = "ray://"
NAMESPACE = "banter"

VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # A node that is told to stop waits no longer than this for what runs on it.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "5",
}
LINK_VARIABLES = {
    # The router on the link's own loop, and calls straight to replicas: no thread between, and no
    # object store. Replicas notice a link that is gone, and stop.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
}
STORE_BYTES = 80 * 2**20
"""Of a node that only front ends use: no audio goes through its store."""

JOINED_WITHIN_S = 60.0
LEFT_WITHIN_S = 8.0

_nodes: list[subprocess.Popen[bytes]] = []
"""Nodes that this process started for itself."""


def prepare_environment(variables: Mapping[str, str] = VARIABLES) -> None:
    """Set the variables that Ray reads when it is imported."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def address_of(setting: str) -> str:
    """`ray://HEAD:PORT` or `auto`, as `ray.init` wants it: the head's own port, not that of Ray
    Client, over which nothing can be streamed."""
    return setting.removeprefix(SCHEME)


def own_address(towards: str) -> str:
    """The address from which this machine reaches another; nothing is sent."""
    host, _, port = towards.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        return str(probe.getsockname()[0])


def join_for_link(setting: str) -> None:
    """Become a driver of the cluster. Blocks.

    Raises:
        Exception: what Ray raised.
    """
    import ray

    address = address_of(setting)
    if address == "auto":
        _init(address, None)
        return
    here = own_address(address)
    if not node_here():
        log.info("no Ray node here; one that gives nothing is started for the link")
        command = node_command(address, here)
        _nodes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))  # nosec B603
    until_s = time.monotonic() + JOINED_WITHIN_S
    while True:
        try:
            _init(address, here)
            return
        except (ConnectionError, RuntimeError, ValueError, TimeoutError):
            ray.shutdown()
            ended = any(node.poll() is not None for node in _nodes)
            if ended or time.monotonic() > until_s:
                raise
            time.sleep(1.0)


def leave() -> None:
    """End the nodes that were started here."""
    for node in _nodes:
        node.terminate()
    for node in _nodes:
        try:
            node.wait(LEFT_WITHIN_S)
        except subprocess.TimeoutExpired:
            node.kill()


def node_here() -> bool:
    """Whether a Ray node runs on this machine: in this network namespace, if there are several."""
    here = os.readlink("/proc/self/ns/net")
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            is_node = name.read_text().strip() == "raylet"
            if is_node and os.readlink(name.parent / "ns" / "net") == here:
                return True
        except OSError:
            continue  # it ended, or is somebody else's
    return False


def node_command(address: str, here: str) -> list[str]:
    """Starts a node that does no work of its own."""
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"),
        f"--node-ip-address={here}",
        *("--num-cpus=0", "--num-gpus=0", f"--object-store-memory={STORE_BYTES}"),
        *("--block", "--disable-usage-stats"),
    ]


def _init(address: str, here: str | None) -> None:
    import ray

    given = {"_node_ip_address": here} if here else {}
    ray.init(
        address=address,
        namespace=NAMESPACE,
        log_to_driver=False,
        configure_logging=False,
        _skip_env_hook=True,
        **given,
    )
