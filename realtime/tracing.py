"""A trace of each turn that is over, by OpenTelemetry: to a collector, to a file, or to both.

One span `turn`, and one for each of its stages, with the moments at which they began and ended:

    listen      somebody spoke
    endpoint    from the end of speech until it was decided that the turn is over
    transcribe  from when its words were asked for until they were there
    reply       the language model: from the question to the last words
    speak       the voice: from the first piece to the last of its audio

No word of what was said is in them. Spans are made at the turn's end on the event loop, which takes
a fraction of a millisecond, and are exported by a thread of the SDK. At most `MAX_WAITING` of them
wait; a turn that finds no room is lost, and counted, and so is what a collector does not take.

Imported only where traces are wanted: it needs the extra `otel`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.util.types import AttributeValue

from realtime.metrics import Metrics
from realtime.otlp_file import FileExporter
from realtime.turn_report import TurnReport

log = logging.getLogger("banter.tracing")

MAX_WAITING = 2_048
"""Spans that wait for an exporter; some three hundred turns."""

SPANS_A_TURN = 6
EVERY_MS = 1_000.0
SEND_S = 5.0
"""A batch that a collector has not taken by then is lost."""

CLOSE_S = 3.0
"""What waits when the server ends has this long to be exported."""


class Tracer:
    """`model` is what the language model is called."""

    def __init__(
        self, *, endpoint: str, file: Path | None, version: str, model: str, metrics: Metrics
    ) -> None:
        self._metrics, self._model = metrics, model
        self._exporters = [
            Counted(exporter, metrics)
            for exporter in (_to_collector(endpoint), FileExporter(file) if file else None)
            if exporter
        ]
        known = {"service.name": "banter", "service.version": version}
        self._provider = TracerProvider(resource=Resource.create(known), shutdown_on_exit=False)
        for exporter in self._exporters:
            self._provider.add_span_processor(
                BatchSpanProcessor(exporter, MAX_WAITING, schedule_delay_millis=EVERY_MS)
            )
        self._tracer = self._provider.get_tracer("banter", version)

    def over(self, report: TurnReport) -> None:
        """Make a turn's trace, or count it as lost where too much waits. On the event loop."""
        if any(each.waiting + SPANS_A_TURN > MAX_WAITING for each in self._exporters):
            self._metrics.count("traces.lost.queue_full")
            return
        offset_ns = time.time_ns() - round(asyncio.get_running_loop().time() * 1e9)

        def ns(moment_s: float) -> int:
            return round(moment_s * 1e9) + offset_ns

        turn = self._tracer.start_span(
            "turn",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            start_time=ns(report.end_of_speech_s - report.speech_s),
            attributes=_attributes(report),
        )
        if not turn.get_span_context().trace_flags.sampled:
            return  # a sampler has left it out: nothing comes to the exporters
        if report.outcome == "failed":
            turn.set_status(trace.StatusCode.ERROR)
        inside = trace.set_span_in_context(turn)
        stages = list(report.stages())
        for exporter in self._exporters:
            exporter.expect(1 + len(stages))
        for name, begun_s, ended_s in stages:
            span = self._tracer.start_span(
                name,
                context=inside,
                kind=trace.SpanKind.CLIENT if name == "reply" else trace.SpanKind.INTERNAL,
                start_time=ns(begun_s),
                attributes=self._of_stage(name, report),
            )
            span.end(ns(ended_s))
        turn.end(ns(max(report.over_s, *(ended_s for _, _, ended_s in stages))))

    def _of_stage(self, name: str, report: TurnReport) -> dict[str, AttributeValue]:
        if name == "reply":
            said: dict[str, AttributeValue] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": self._model,
                "gen_ai.conversation.id": report.session_id,
            }
            if (wait_s := report.making.reply.wait_s) is not None:
                said["gen_ai.response.time_to_first_chunk"] = wait_s
            return said
        return {"gen_ai.output.type": "speech"} if name == "speak" else {}

    async def close(self, _: web.Application | None = None) -> None:
        """Export what waits, for a while; what is left is counted as lost."""
        ending = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        done, _pending = await asyncio.wait({ending}, timeout=CLOSE_S)
        if not done:
            for exporter in self._exporters:
                await asyncio.to_thread(exporter.shutdown)
            await asyncio.wait({ending}, timeout=SEND_S)
        left = sum(exporter.waiting for exporter in self._exporters)
        if left:
            log.warning("%d spans of turns were not exported", left)


def _to_collector(endpoint: str) -> SpanExporter | None:
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    path = "" if endpoint.endswith("/v1/traces") else "/v1/traces"
    return OTLPSpanExporter(endpoint + path, timeout=SEND_S)


def _attributes(report: TurnReport) -> dict[str, AttributeValue]:
    said: dict[str, AttributeValue] = {
        "session.id": report.session_id,
        "banter.item.id": report.item_id,
        "banter.turn.outcome": report.outcome,
        "banter.turn.speculated": report.speculated,
        **{f"banter.turn.{name}": ms for name, ms in report.milliseconds().items()},
    }
    if report.response_id:
        said["gen_ai.response.id"] = report.response_id
    return said


class Counted(SpanExporter):
    """Another exporter, and how many spans wait for it: more by `expect` on the event loop, fewer
    by `export` on the SDK's thread."""

    def __init__(self, inner: SpanExporter, metrics: Metrics) -> None:
        self._inner, self._metrics = inner, metrics
        self._closed = False
        self._lock = threading.Lock()
        self.waiting = 0

    def expect(self, spans: int) -> None:
        """So many will be handed to it."""
        with self._lock:
            self.waiting += spans

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:
            log.exception("traces could not be exported")
            result = SpanExportResult.FAILURE
        self.expect(-len(spans))
        if result is not SpanExportResult.SUCCESS:
            turns = sum(span.name == "turn" for span in spans)
            self._metrics.count("traces.lost.export_failed", turns)
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._inner.shutdown()
