"""Reads the message of another Celery client: its job, its trace and when it expires. PURE."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from threadmill.errors import InvalidJob
from threadmill.queue import TASK
from threadmill.tracing.spans import TraceContext

#: For error messages.
_RIGHT_CALL = f'send one job: send_task("{TASK}", args=[{{"prompt": "..."}}]), or kwargs={{"job": {{"prompt": "..."}}}}'


def argument_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | Mapping[str, Any]:
    """Returns the only argument of a call: a job's id or its fields. Raises InvalidJob, which shows a right call."""
    match [*args, *kwargs.values()]:
        case [str() | Mapping() as job] if kwargs.keys() <= {"job"}:
            return job
    given = ", ".join([*(type(each).__name__ for each in args), *(f"{name}=" for name in kwargs)]) or "nothing"
    raise InvalidJob(f"the task takes one argument, a job's fields, and was given {given}; {_RIGHT_CALL}")


def trace_of(request: Any) -> TraceContext | None:
    """Returns the trace context in the headers of a message, where OpenTelemetry's instrumentation of Celery has it."""
    parent, state = getattr(request, "traceparent", None), getattr(request, "tracestate", None)
    return TraceContext(parent, state if isinstance(state, str) else None) if isinstance(parent, str) else None


def start_limit(expires: str | None) -> datetime | None:
    """Returns the time by which a worker must have started the job; None: no limit."""
    if expires is None:
        return None
    moment = datetime.fromisoformat(expires)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
