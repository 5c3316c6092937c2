"""`banter cluster`: take part in a cluster, deploy the pools, look at them.

banter cluster up --head [--address IP] [pools and settings]
banter cluster up --join HEAD:PORT [--address IP]
banter cluster deploy [pools and settings]
banter cluster status [--json]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess  # nosec B404
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bootstrap
from realtime.cluster import deployment
from realtime.cluster.access import NAMESPACE, address_of, prepare_environment
from realtime.cluster.node import (
    FIRST_PORT,
    HEAD_PORT,
    Node,
    NodePlan,
    check_address,
    ray_command,
)
from realtime.cluster.tokens import need_token, token_variables
from realtime.cluster.wire import POOLS
from realtime.errors import SettingsError
from realtime.settings import read_settings

log = logging.getLogger("banter.cluster")

REPORT_S = 10.0
AGAIN_S = 5.0


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code: 2 for a wrong setting, 1 for what failed."""
    parser = _parser(environment)
    given, settings = _split(arguments)
    args = parser.parse_args(given)
    args.settings = settings
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    prepare_environment()
    try:
        volume = Path(args.volume).expanduser() if args.volume else bootstrap.default_volume()
        if not args.no_token:
            make = args.what == "up" and args.head
            os.environ.update(token_variables(need_token(volume, make=make)))
        if args.what != "status":
            read_settings(settings, environment)  # here rather than in each replica
        if args.what == "up":
            return _up(args, volume)
        if args.what == "deploy":
            at = ["--at", address_of(args.at)]
            return deployment.main([*_pool_arguments(args), *at, "--", *settings])
        return _status(as_json=args.json, address=args.at)
    except (SettingsError, ValueError) as error:
        print(f"banter: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        log.debug("cluster", exc_info=True)
        print(f"banter: {type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is before `--`, and the engines' settings after it."""
    given = list(arguments)
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="banter cluster", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    up = kinds.add_parser("up", help="run this machine's node until Ctrl-C")
    role = up.add_mutually_exclusive_group(required=True)
    role.add_argument("--head", action="store_true", help="begin a cluster, and deploy the pools")
    role.add_argument("--join", metavar="HEAD:PORT", default="", help="take part in one")
    up.add_argument("--address", default=environment.get("BANTER_CLUSTER_ADDRESS", ""))
    up.add_argument("--port", type=int, default=HEAD_PORT, help=f"of the head ({HEAD_PORT})")
    up.add_argument("--first-port", type=int, default=FIRST_PORT, help="of the node; 0 any free")
    up.add_argument("--cpus", type=int, help="that replicas may take here; default all")
    up.add_argument("--gpus", type=int, help="likewise")
    up.add_argument("--folder", type=Path, help="for Ray's own files (/tmp/ray)")
    up.add_argument("--insecure", action="store_true", help="take a public address all the same")
    deploy = kinds.add_parser("deploy", help="make the pools what is said, without losing a turn")
    status = kinds.add_parser("status", help="nodes, pools and replicas")
    status.add_argument("--json", action="store_true")
    for each in (deploy, status):
        each.add_argument("--at", default="auto", help="the head as HEAD:PORT (auto)")
    for each in (up, deploy):
        deployment.add_options(each)
    for each in (up, deploy, status):
        each.add_argument("--volume", default=environment.get("BANTER_VOLUME", ""))
        each.add_argument("--no-token", action="store_true", help="ask for no token (not advised)")
    return parser


def _pool_arguments(args: argparse.Namespace) -> list[str]:
    """The pools' options again, as flags."""
    pools, kinds = ("whisper", "voice"), ("replicas", "gpus", "cpus", "target")
    names = [f"{pool}_{kind}" for pool in pools for kind in kinds]
    values = {
        n: getattr(args, n)
        for n in (*names, "upscale_seconds", "downscale_seconds", "surge", "per_node")
    }
    given = {name.replace("_", "-"): value for name, value in values.items() if value is not None}
    return [f"--{name}={value}" for name, value in given.items()]


def _up(args: argparse.Namespace, volume: Path) -> int:
    deployment.plan_of(args)  # wrong numbers are said before anything is started
    address = args.address or _own_address()
    tls = os.environ.get("RAY_USE_TLS", "0") == "1"
    check_address(address, tls=tls, insecure=args.insecure)
    plan = NodePlan(
        address=address,
        head=address_of(args.join),
        port=args.port,
        cpus=args.cpus,
        gpus=args.gpus,
        first_port=args.first_port,
        folder=args.folder,
    )
    deploying = threading.Thread(target=_deploy, args=(args, plan), daemon=True)

    def up() -> None:
        nonlocal deploying
        if args.head and not deploying.is_alive():
            deploying = threading.Thread(target=_deploy, args=(args, plan), daemon=True)
            deploying.start()

    node = Node(ray_command(plan), up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: node.stop())
    if args.head:
        print(f"The cluster's head is at {plan.at}. On other machines, with its token in")
        print(f"BANTER_CLUSTER_TOKEN: banter cluster up --join {plan.at}")
        print(f"and front ends: banter --engines ray://{plan.at}", flush=True)
    node.run()
    return 0


def _deploy(args: argparse.Namespace, plan: NodePlan) -> None:
    """In a process of its own, since a Ray driver ends with its node; until it has worked."""
    command = [sys.executable, "-m", "realtime.cluster.deployment", *_pool_arguments(args)]
    command += ["--at", plan.at, "--", *args.settings]
    while code := subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode:  # nosec
        log.error("the pools could not be deployed (%d); again in %g s", code, AGAIN_S)
        time.sleep(AGAIN_S)
    print("The pools are ready.", flush=True)


def _own_address() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())


def _status(*, as_json: bool, address: str) -> int:
    told = report(address)
    print(json.dumps(told) if as_json else shown(told))
    return 0 if all(pool["replicas"] for pool in told["pools"].values()) else 1


def report(address: str) -> dict[str, Any]:
    """Nodes, pools, and what each replica says of itself."""
    import ray
    from ray import serve

    ray.init(address=address_of(address), namespace=NAMESPACE, log_to_driver=False)
    apps = serve.status().applications
    pools: dict[str, Any] = {}
    for name in POOLS:
        app = apps.get(deployment.app_of(name))
        pools[name] = {"state": str(app.status.value) if app else "NOT_DEPLOYED", "replicas": []}
        if app and name in app.deployments and app.deployments[name].replica_states.get("RUNNING"):
            handle = serve.get_deployment_handle(name, deployment.app_of(name))
            told = handle.broadcast("report").results(timeout_s=REPORT_S, return_exceptions=True)
            pools[name]["replicas"] = [each for each in told if isinstance(each, dict)]
    nodes = [
        {"address": n["NodeManagerAddress"], "alive": n["Alive"], "resources": n["Resources"]}
        for n in ray.nodes()
    ]
    ray.shutdown()
    return {"nodes": nodes, "pools": pools}


def shown(told: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = []
    for node in told["nodes"]:
        has = {k: v for k, v in node["resources"].items() if k in ("CPU", "GPU")}
        has_text = (
            ", ".join(f"{value:g} {name}" for name, value in has.items()) or "nothing to give"
        )
        lines.append(
            f"node {node['address']:<16} {'alive' if node['alive'] else 'gone':<6} {has_text}"
        )
    for name, pool in told["pools"].items():
        lines.append(f"{name}: {pool['state']}, {len(pool['replicas'])} replicas")
        for each in pool["replicas"]:
            queued = each["load"].get("queued_s", 0.0)
            lines.append(f"  {each['replica']} on {each['node']}: {queued:.1f} s queued")
    return "\n".join(lines)
