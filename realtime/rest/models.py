"""`GET /v1/models`: the names that clients ask for, and what takes them here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from realtime.model_names import ALIASES, purpose_of
from realtime.rest.problem import Problem

PATH = "/v1/models"


class ModelRoutes:
    """Every name is taken when something is asked of it; these are those whose purpose is known,
    and the `loaded` ones by the names that they have elsewhere."""

    def __init__(self, loaded: Iterable[str] = ()) -> None:
        self._names = tuple(dict.fromkeys([*loaded, *ALIASES]))
        self._since = int(time.time())

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.list), web.get(PATH + "/{id:.+}", self.show)]

    async def list(self, request: web.Request) -> web.Response:
        data = [self._shown(name) for name in self._names]
        return web.json_response({"object": "list", "data": data})

    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self._names and purpose_of(name) is None:
            message = f"there is no model '{name}': {PATH} lists those that there are"
            raise Problem(404, message, code="model_not_found", param="model")
        return web.json_response(self._shown(name))

    def _shown(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._since, "owned_by": "banter"}
