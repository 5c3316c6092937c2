"""Serve's request router for the pools: asks the load book of this process. Runs in the link."""

from __future__ import annotations

import time
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from realtime.cluster import loads


class LeastQueued(RequestRouter):  # type: ignore[misc]
    """Each call carries `route`: `job` and `seconds`, what it is and weighs; `voice`, what it
    needs; `at`, the replica that it is for. What is for one that is gone does no harm elsewhere."""

    @property
    def _book(self) -> loads.LoadBook:
        return loads.BOOKS[self._deployment_id.name]

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        self._book.running({r.replica_id.unique_id: r.routing_stats for r in replicas})
        super().update_replicas(replicas)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        route: dict[str, Any] = {}
        if pending_request:
            route = pending_request.kwargs.get("route", {})
            pending_request.routing_context.should_backoff = True  # else it asks again at once
        by_name = {r.replica_id.unique_id: r for r in candidate_replicas}
        order = self._book.order(
            now_s=time.monotonic(), voice=route.get("voice", ""), at=route.get("at", "")
        )
        order = [name for name in order if name in by_name] or list(by_name)
        if order and "job" in route:  # at once: the next to choose must see it
            self._book.sent(route["job"], order[0], route["seconds"])
        return [[by_name[name]] for name in order]

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any
    ) -> None:
        route = pending_request.kwargs.get("route", {})
        if "job" in route:
            self._book.sent(route["job"], replica_id.unique_id, route["seconds"])
