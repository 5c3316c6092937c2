"""All endpoints of this package, put into an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from aiohttp import web

from realtime.engines import Engines
from realtime.metrics import Metrics
from realtime.rest import openapi
from realtime.rest.models import ModelRoutes
from realtime.rest.problem import openai_errors
from realtime.rest.speech import SpeechRoutes
from realtime.rest.transcriptions import TranscriptionRoutes, UploadLimits

CODERS = 2
"""Uploads that are decoded at once, and threads that encode speech and write answers, for all
requests together. An upload that gives its decoder much to do holds up no speech."""


class HasEngines(Protocol):
    """What is needed of the runtime."""

    @property
    def engines(self) -> Engines: ...


def add_rest(
    app: web.Application,
    runtime: HasEngines,
    metrics: Metrics,
    limits: UploadLimits | None = None,
    models: Iterable[str] = (),
) -> None:
    """Routes, the middleware of their errors behind those that are there, and two pools that are
    closed with the application."""
    pool = ThreadPoolExecutor(CODERS, thread_name_prefix="banter-sound")
    decoders = ThreadPoolExecutor(CODERS, thread_name_prefix="banter-decode")

    def engines() -> Engines:
        return runtime.engines

    async def close(app: web.Application) -> AsyncIterator[None]:
        yield
        for each in (pool, decoders):
            each.shutdown(wait=False, cancel_futures=True)

    app.middlewares.append(openai_errors)
    hearing = TranscriptionRoutes(engines, metrics, pool, decoders, limits or UploadLimits())
    for routes in (hearing, SpeechRoutes(engines, metrics, pool), ModelRoutes(models)):
        app.router.add_routes(routes.routes())
    app.router.add_get(openapi.PATH, openapi.show)
    app.cleanup_ctx.append(close)
