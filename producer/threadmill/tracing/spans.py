"""Spans of OpenTelemetry, for processes that have it: those that call `sdk.start`, and programs with their own set-up.

Nothing here imports OpenTelemetry before somebody else has. A process without traces pays one look into a dictionary.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer, TracerProvider

#: The version of the semantic conventions that names of spans and attributes follow.
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

#: The longest `tracestate` that is stored with a job; W3C lets a longer one be dropped.
_LONGEST_STATE = 512

_provider: "TracerProvider | None" = None
_known: "tuple[TracerProvider, Tracer] | None" = None  #: the tracer of the provider that was used last


class TraceContext(NamedTuple):
    """The W3C trace context of a span. Jobs carry it in their record."""

    traceparent: str
    tracestate: str | None = None

    @property
    def id(self) -> str:
        """The id of the trace, as tools that show traces have it; '' if the context is damaged."""
        parts = self.traceparent.split("-")
        return parts[1] if len(parts) == 4 else ""


def use(provider: "TracerProvider | None") -> None:
    """Makes the spans of this process with a provider; None: with the global one of OpenTelemetry."""
    global _provider
    _provider = provider


def tracer() -> "Tracer | None":
    """Returns the tracer of threadmill; None if nobody has set up a provider in this process."""
    global _known
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = _provider or api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    if _known is None or _known[0] is not provider:
        _known = provider, provider.get_tracer("threadmill", version("threadmill"), schema_url=SCHEMA_URL)
    return _known[1]


def current() -> "Span | None":
    """Returns the current span if its trace is recorded."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    span: Span = api.get_current_span()
    return span if span.is_recording() else None


def context_of(span: "Span") -> TraceContext | None:
    """Returns the context that continues a span in another process; None if it has none."""
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
    state = carrier.get("tracestate")
    if "traceparent" not in carrier:
        return None
    return TraceContext(carrier["traceparent"], state if state and len(state) <= _LONGEST_STATE else None)


def continuing(context: TraceContext | None) -> "Context":
    """Returns the parent for a span that continues a trace; for None, or a context that is invalid, a new trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {name: value for name, value in (context or TraceContext(""))._asdict().items() if value}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def ids() -> Mapping[str, str]:
    """Returns `trace_id` and `span_id` of the current span, as log lines have them; {} without one."""
    api = sys.modules.get("opentelemetry.trace")
    context = api.get_current_span().get_span_context() if api is not None else None
    if context is None or not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def fail(span: "Span", kind: str) -> None:
    """Marks a span as failed. `kind`: its `error.type`, one of few values. Texts of errors may quote prompts."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


@contextmanager
def ending(span: "Span") -> Iterator["Span"]:
    """Ends the span after the block. An exception marks it as failed, with the exception's class."""
    try:
        yield span
    except BaseException as error:
        fail(span, type(error).__qualname__)
        raise
    finally:
        span.end()


def messaging(operation: str, kind: str, queue: str, **more: Any) -> dict[str, Any]:
    """Returns the attributes of an operation on a job as a message. `kind`: an operation type of the conventions."""
    return {
        "messaging.system": "threadmill",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
        **more,
    }
