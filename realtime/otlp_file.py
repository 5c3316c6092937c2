"""Traces in a file, as OpenTelemetry's File Exporter writes them: OTLP's JSON, one object a line.

A collector reads such a file with its `otlpjsonfile` receiver. The file is appended to and never
cut; logrotate may move it away, as it is opened anew for every batch.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger("banter.tracing")

IDS = ("traceId", "spanId", "parentSpanId")
"""In OTLP's JSON these are hexadecimal, where Protocol Buffers' own has base64."""


class FileExporter(SpanExporter):
    """Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(as_line(spans))
        except OSError as error:
            log.error("traces could not be written to %s: %s", self._path, error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open."""


def as_line(spans: Sequence[ReadableSpan]) -> str:
    """Some spans as one line."""
    said = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in said.get("resourceSpans", []):
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                _in_hex(span)
    return json.dumps(said, separators=(",", ":")) + "\n"


def _in_hex(span: dict[str, Any]) -> None:
    for name in IDS:
        if name in span:
            span[name] = base64.b64decode(span[name]).hex()
