"""Spans of this process, kept in memory; and a collector that receives those of other processes."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import Request
from starlette.responses import Response

from threadmill.tracing import spans


class Kept:
    """The spans that have ended, by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, beginning: str) -> list[ReadableSpan]:
        """The spans whose names begin so, in the order of their ends."""
        return [span for span in self.all() if span.name.startswith(beginning)]

    def one(self, beginning: str) -> ReadableSpan:
        [span] = self.named(beginning)
        return span

    def children(self, parent: ReadableSpan) -> list[str]:
        """The names of the spans directly below, in the order of their starts."""
        below = [span for span in self.all() if span.parent and span.parent.span_id == parent.context.span_id]
        return [span.name for span in sorted(below, key=lambda span: span.start_time)]


@contextmanager
def kept() -> Iterator[Kept]:
    """Traces this process while the block runs."""
    kept = Kept()
    spans.use(kept.provider)
    try:
        yield kept
    finally:
        spans.use(None)


@dataclass
class Collector:
    """An ASGI app that receives OTLP over HTTP."""

    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.headers.append(dict(request.headers))
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(attributes["service.name"])
            self.spans += [span for scoped in resource.scope_spans for span in scoped.spans]
        await Response(b"", media_type="application/x-protobuf")(scope, receive, send)

    def named(self, beginning: str) -> list[Any]:
        return [span for span in self.spans if span.name.startswith(beginning)]
