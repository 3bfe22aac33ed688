"""Starts OpenTelemetry's SDK in a worker or a gateway, with the standard variables OTEL_*, and stops it in time.

Spans wait in a queue of bounded length, and a thread exports them: a collector that hangs or refuses costs spans, and
neither jobs nor the shutdown wait for it.
"""

import logging
import os
import threading
from collections.abc import Mapping
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING
from uuid import uuid4

from threadmill.errors import SettingsError
from threadmill.installation import install_command
from threadmill.log import add_from
from threadmill.secrets.redaction import REDACTOR
from threadmill.tracing import spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger(__name__)

#: How long a process that ends waits for its last spans to be exported, in seconds.
STOP_S = 3.0

_EXPORTERS = "opentelemetry_traces_exporter"


class Tracing:
    """The export of the spans of this process."""

    def __init__(self, flush: threading.Thread | None = None) -> None:
        self._flush = flush

    def stop(self, within_s: float = STOP_S) -> None:
        """Exports what is left, for `within_s` seconds at most. Has no effect a second time."""
        flush, self._flush = self._flush, None
        if flush is not None:
            flush.start()
            flush.join(within_s)


def start(service: str) -> Tracing:
    """Exports the spans of this process if the variables OTEL_* ask for it; log lines then have the ids of their span.

    `service`: the default of `service.name`. Logs a warning, and exports nothing, if the extra [otel] is missing. A
    provider that is set up already, as `opentelemetry-instrument` does, stays. Raises SettingsError for an exporter
    that is not installed.
    """
    if spans.tracer() is not None:
        add_from(spans.ids)
        return Tracing()
    name = exporter_name(os.environ)
    if name is None:
        return Tracing()
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are not exported: they need an extra; run %s", install_command("otel"))
        return Tracing()
    for variable, value in os.environ.items():
        if variable.startswith("OTEL_EXPORTER_OTLP_") and variable.endswith("HEADERS"):
            _register_headers(value)
    resource = Resource.create({"service.instance.id": str(uuid4()), "service.version": version("threadmill")})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):  # the SDK's default
        resource = resource.merge(Resource({"service.name": service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    trace.set_tracer_provider(provider)
    add_from(spans.ids)
    return Tracing(threading.Thread(target=provider.shutdown, name="last-spans", daemon=True))


def exporter_name(variables: Mapping[str, str]) -> str | None:
    """Returns the exporter that the variables ask for, `otlp` if they only name a collector; None: no export."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    name = variables.get("OTEL_TRACES_EXPORTER", "").strip()
    if name:
        return None if name == "none" else name
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return "otlp" if any(variables.get(each) for each in endpoints) else None


def _exporter(name: str) -> "SpanExporter":
    """Returns an exporter by its name in OTEL_TRACES_EXPORTER. Raises SettingsError."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if name == "otlp":
        if protocol not in (None, "", "http/protobuf"):
            raise SettingsError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, and threadmill speaks http/protobuf alone: "
                "leave it out, and name the collector's port for HTTP, which is usually 4318"
            )
        name = "otlp_proto_http"
    found = entry_points(group=_EXPORTERS, name=name)
    if not found:
        known = ", ".join(sorted({each.name for each in entry_points(group=_EXPORTERS)}))
        raise SettingsError(f"OTEL_TRACES_EXPORTER is {name!r}, and there is no such exporter (installed: {known})")
    exporter: SpanExporter = next(iter(found)).load()()
    return exporter


def _register_headers(value: str) -> None:
    """Registers the values of headers, such as `api-key=...`, as secrets."""
    for pair in value.split(","):
        REDACTOR.register(pair.partition("=")[2])
