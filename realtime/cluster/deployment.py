"""The pools as Serve applications, and their deployment: run on the head, or again to update.

    python -m realtime.cluster.deployment --whisper-replicas 1:4 ... -- ENGINE SETTINGS

Deployed again with other settings or another version of the package, a pool is updated replica by
replica: a fresh one is loaded and warm before an old one gets nothing new, and that one answers
what it has first.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.cluster.access import NAMESPACE, prepare_environment
from realtime.cluster.autoscale import TARGET_S
from realtime.cluster.wire import TRANSCRIPTION, VOICE
from realtime.errors import BanterError

log = logging.getLogger("banter.cluster.deployment")

MAX_CALLS = 512
"""At a time in a replica; its batcher bounds the audio that waits, and refuses the rest."""

DRAIN_S = 60.0
"""For a replica that is replaced to answer what it has. A line lasts seconds."""

HEALTH_PERIOD_S, HEALTH_WITHIN_S = 2.0, 20.0
STATS_PERIOD_S = 1.0
UPSCALE_S, DOWNSCALE_S = 6.0, 120.0
LOOK_BACK_S = 6.0
JOINED_WITHIN_S = 90.0
SAID_EVERY_S = 30.0


@dataclass(frozen=True)
class PoolPlan:
    """How large a pool may be, and what each replica takes of its node."""

    least: int = 1
    most: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    target_s: float = TARGET_S
    """Of audio that is queued in a replica, on the mean; the pool grows beyond it."""


@dataclass(frozen=True)
class ClusterPlan:
    """Both pools, and the settings of their engines."""

    whisper: PoolPlan = PoolPlan()
    voice: PoolPlan = PoolPlan()
    upscale_s: float = UPSCALE_S
    downscale_s: float = DOWNSCALE_S
    surge: int = 100
    """Percent of a pool that may be there twice during an update. 0 where no place is free: then
    old replicas end before new ones begin."""
    per_node: int = 0
    """Replicas of a pool on one node at most, so that a node that dies does not take all of it; 0
    is no bound."""
    settings: tuple[str, ...] = ()
    """Flags as `banter` takes them, for the replicas; what is left out is each node's own
    environment's."""


def app_of(pool: str) -> str:
    """The name of a pool's application."""
    return f"banter-{pool}"


def options_of(plan: ClusterPlan, pool: PoolPlan) -> dict[str, Any]:
    """What Serve is told of a pool."""
    bound = {"max_replicas_per_node": plan.per_node} if plan.per_node else {}
    return {
        **bound,
        "max_ongoing_requests": MAX_CALLS,
        "ray_actor_options": {"num_cpus": pool.cpus, "num_gpus": pool.gpus},
        "autoscaling_config": {
            "min_replicas": pool.least,
            "max_replicas": pool.most,
            "upscale_delay_s": plan.upscale_s,
            "downscale_delay_s": plan.downscale_s,
            "metrics_interval_s": 1.0,
            "look_back_period_s": LOOK_BACK_S,
            "policy": {
                "policy_function": "realtime.cluster.autoscale:QueuedSeconds",
                "policy_kwargs": {"target_s": pool.target_s},
            },
        },
        "health_check_period_s": HEALTH_PERIOD_S,
        "health_check_timeout_s": HEALTH_WITHIN_S,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
        "max_surge_percent": plan.surge,
        "request_router_config": {
            "request_router_class": "realtime.cluster.router:LeastQueued",
            "request_routing_stats_period_s": STATS_PERIOD_S,
        },
    }


def deploy(plan: ClusterPlan) -> None:
    """Make the cluster's pools what the plan says. Blocks until they can work, and says now and
    then what they wait for.

    Raises:
        BanterError: a pool cannot be deployed.
        Exception: what Serve raised.
    """
    from ray import serve

    from realtime.cluster.replica import TranscriptionReplica, VoiceReplica

    serve.start(proxy_location="Disabled")
    engines = {
        TRANSCRIPTION: (TranscriptionReplica, plan.whisper),
        VOICE: (VoiceReplica, plan.voice),
    }
    targets = []
    for name, (engine, pool) in engines.items():
        deployment = serve.deployment(engine, name=name, **options_of(plan, pool))
        app = deployment.bind(list(plan.settings))
        targets.append(serve.RunTarget(app, name=app_of(name), route_prefix=None))
    serve.run_many(targets, wait_for_applications_running=False)
    said_s = time.monotonic()
    while True:
        apps = serve.status().applications
        found = {name: apps[app_of(name)] for name in engines if app_of(name) in apps}
        states = {name: str(app.status.value) for name, app in found.items()}
        if set(states.values()) == {"RUNNING"} and len(states) == len(engines):
            return
        for name, app in found.items():
            if states[name] == "DEPLOY_FAILED":
                raise BanterError(f"the pool of {name} cannot be deployed: {app.message}")
        if time.monotonic() - said_s > SAID_EVERY_S:
            said_s = time.monotonic()
            log.info("the pools are not ready yet: %s", {n: a.message for n, a in found.items()})
        time.sleep(0.5)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the pools; what follows `--` are settings of the engines."""
    for pool, what in (("whisper", "recogniser"), ("voice", "voice")):
        parser.add_argument(
            f"--{pool}-replicas",
            default="1",
            metavar="N or LEAST:MOST",
            help=f"replicas of the {what}; between two numbers as much as is queued wants (1)",
        )
        parser.add_argument(
            f"--{pool}-gpus", type=float, default=None, help="of each; see docs/cluster.md"
        )
        parser.add_argument(f"--{pool}-cpus", type=float, default=1.0, help="of each (1)")
        parser.add_argument(
            f"--{pool}-target",
            type=float,
            default=TARGET_S,
            help=f"seconds of audio in each on the mean beyond which the pool grows ({TARGET_S:g})",
        )
    parser.add_argument("--upscale-seconds", type=float, default=UPSCALE_S)
    parser.add_argument("--downscale-seconds", type=float, default=DOWNSCALE_S)
    parser.add_argument("--surge", type=int, default=100, help="percent twice in an update (100)")
    parser.add_argument(
        "--per-node", type=int, default=0, help="replicas of a pool on a node at most (0: any)"
    )
    parser.add_argument("settings", nargs="*", help="settings of the engines, after --")


def plan_of(args: argparse.Namespace, *, gpus: float = 0.0) -> ClusterPlan:
    """
    Raises:
        ValueError: a number of replicas that is none.
    """

    def pool(name: str) -> PoolPlan:
        least, most = span(getattr(args, f"{name}_replicas"))
        given = getattr(args, f"{name}_gpus")
        share = gpus if given is None else given
        cpus, target_s = getattr(args, f"{name}_cpus"), getattr(args, f"{name}_target")
        return PoolPlan(least, most, share, cpus, target_s)

    return ClusterPlan(
        pool("whisper"),
        pool("voice"),
        args.upscale_seconds,
        args.downscale_seconds,
        args.surge,
        args.per_node,
        tuple(args.settings),
    )


def share_of(gpus: float) -> float:
    """Of a GPU, for a replica, where nothing is said: a whole one, half of it where there is only
    one for both pools, and none where there is none yet."""
    return 1.0 if gpus >= 2 else 0.5 if gpus else 0.0


def span(text: str) -> tuple[int, int]:
    """`2` or `1:4` -> least and most.

    Raises:
        ValueError: it is neither.
    """
    least, _, most = text.partition(":")
    numbers = int(least), int(most or least)
    if not 1 <= numbers[0] <= numbers[1]:
        raise ValueError(f"'{text}' is neither a number of replicas nor LEAST:MOST, such as 1:4")
    return numbers


def _join(address: str) -> None:
    """As soon as the node is there."""
    import ray

    until_s = time.monotonic() + JOINED_WITHIN_S
    while True:
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False)
            return
        except (ConnectionError, RuntimeError, ValueError, TimeoutError):
            ray.shutdown()
            if time.monotonic() > until_s:
                raise
            time.sleep(1.0)


def main(arguments: Sequence[str]) -> int:
    """Deploy to the cluster whose node this machine is."""
    import ray

    parser = argparse.ArgumentParser(prog="banter cluster deploy", description=(main.__doc__))
    add_options(parser)
    parser.add_argument("--at", default="auto", help="the head as HEAD:PORT (auto)")
    args = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    prepare_environment()
    _join(args.at)
    deploy(plan_of(args, gpus=share_of(ray.cluster_resources().get("GPU", 0.0))))
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
