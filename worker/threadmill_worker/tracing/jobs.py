"""The span of one attempt at a job, from its claim to its end."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from threadmill.job.result import JobResult
from threadmill.store.records.job import JobRecord
from threadmill.tracing import spans
from threadmill.tracing.spans import TraceContext

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span


class JobSpan:
    """Continues the trace in the job's record. Does nothing in a process without traces.

    A job that nobody has traced yet begins a trace: CLAIM stores `context`, so that later attempts continue it. Until
    then the span is only prepared; if the job is not claimed, nothing is exported.
    """

    def __init__(self, queue: str, job_id: str) -> None:
        self._queue = queue
        self._job_id = job_id
        self._started_at = time.time_ns()
        self._current: AbstractContextManager[Span] | None = None
        self._span = self._start(None) if spans.tracer() else None

    @property
    def context(self) -> TraceContext | None:
        """What CLAIM stores with a job that is not traced yet."""
        return spans.context_of(self._span) if self._span else None

    def claimed(self, record: JobRecord) -> None:
        """Begins, with a span of the claim. `record`: as CLAIM returned it."""
        self.begin(record)
        tracer = spans.tracer()
        if tracer is None or self._span is None:
            return
        from opentelemetry.trace import SpanKind

        attributes = spans.messaging("claim", "receive", self._queue, **{"messaging.message.id": self._job_id})
        name, kind = f"claim {self._queue}", SpanKind.CLIENT
        tracer.start_span(name, kind=kind, attributes=attributes, start_time=self._started_at).end()

    def begin(self, record: JobRecord) -> None:
        """Makes this the current span, in the trace of the record."""
        if self._span is None:
            return
        from opentelemetry.trace import use_span

        if record.trace != self.context:
            self._span = self._start(record.trace)
        self._span.set_attributes(_attributes(record))
        self._current = use_span(self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False)
        self._current.__enter__()

    def ended(self, result: JobResult | None) -> None:
        """Tells how the attempt ended; None: the job goes on elsewhere."""
        if self._span is None:
            return
        self._span.set_attribute("threadmill.job.state", result.state.value if result else "handed back")
        if result is not None and result.failure is not None:
            spans.fail(self._span, result.failure.kind.value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, trace: TracebackType | None) -> None:
        if self._span is None or self._current is None:
            return
        self._current.__exit__(None, None, None)
        if kind is not None:
            spans.fail(self._span, kind.__qualname__)
        self._span.end()

    def _start(self, parent: TraceContext | None) -> "Span":
        from opentelemetry.trace import SpanKind

        tracer = spans.tracer()
        assert tracer is not None
        return tracer.start_span(
            f"process {self._queue}",
            context=spans.continuing(parent),
            kind=SpanKind.CONSUMER,
            attributes=spans.messaging("process", "process", self._queue, **{"messaging.message.id": self._job_id}),
            start_time=self._started_at,
        )


def _attributes(record: JobRecord) -> dict[str, Any]:
    found = {
        "threadmill.attempt": record.attempts,
        "threadmill.batch": record.job.batch,
        "threadmill.endpoint": record.endpoint,
        "threadmill.tenant": record.job.tenant,
    }
    return {name: value for name, value in found.items() if value is not None}
