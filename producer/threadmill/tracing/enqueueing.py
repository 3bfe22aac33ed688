"""The span of a call that enqueues jobs. Its context travels in their records, so that workers continue the trace."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from threadmill.tracing import spans
from threadmill.tracing.spans import TraceContext


class Enqueueing:
    """`context`: what the records of the jobs store; None: nothing."""

    def __init__(self, context: TraceContext | None = None) -> None:
        self.context = context
        self.ids: Sequence[str] = ()  #: of the jobs, when they have been enqueued


@contextmanager
def enqueueing(queue: str, jobs: int) -> Iterator[Enqueueing]:
    """Traces a call that enqueues `jobs` jobs. Without a provider, workers continue the caller's own span."""
    api = sys.modules.get("opentelemetry.trace")
    tracer = spans.tracer()
    if api is None:
        yield Enqueueing()
        return
    if tracer is None:
        yield Enqueueing(spans.context_of(api.get_current_span()))
        return
    span = tracer.start_span(
        f"enqueue {queue}", kind=api.SpanKind.PRODUCER, attributes=spans.messaging("enqueue", "send", queue)
    )
    if jobs > 1:
        span.set_attribute("messaging.batch.message_count", jobs)
    with spans.ending(span):
        enqueued = Enqueueing(spans.context_of(span))
        yield enqueued
        if len(enqueued.ids) == 1:
            span.set_attribute("messaging.message.id", enqueued.ids[0])
