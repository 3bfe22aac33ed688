"""Reports to Celery and its monitors how a job ended. The script FINISH stores the result; Celery never does."""

from typing import Any

from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import Ignore
from celery.worker.request import Request as CeleryRequest

from threadmill.job.result import JobResult, JobState
from threadmill.queue import TASK
from threadmill.secrets.redaction import redact, redact_all


class JobFailed(Exception):
    """The job failed; the text is the kind of the failure and its message."""


class JobCancelled(Ignore):  # type: ignore[misc]
    """The job was cancelled; for Celery, the task was revoked."""


def succeeded(result: JobResult | None) -> JobResult:
    """Returns the result of a job that succeeded. Raises what Celery expects of a task in all other cases."""
    if result is None:
        raise Ignore()
    if result.failure is not None:
        if result.state is JobState.CANCELLED:
            raise JobCancelled(result.failure.message)
        raise JobFailed(f"{result.failure.kind}: {result.failure.message}")
    return result


class Request(CeleryRequest):  # type: ignore[misc]
    """One delivery of a job, and its events for monitors. For the task's option `Request`."""

    def revoked(self) -> bool:
        """Always False: revoked and expired jobs need results, so both reach the task."""
        return False

    @property
    def argsrepr(self) -> str:
        """The arguments, for monitors. They contain the whole job if a foreign client sent it."""
        return redact(str(super().argsrepr))

    @property
    def kwargsrepr(self) -> str:
        return redact(str(super().kwargsrepr))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """For `celery inspect`."""
        return redact_all(super().info(safe))

    def send_event(self, type: str, **fields: Any) -> None:
        """Sends an event to monitors without secrets: events of failures contain the text of an exception."""
        super().send_event(type, **redact_all(fields))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Reports a failed or cancelled job without a traceback, which would only show frames of this worker."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard may wrap it
        if isinstance(error, JobCancelled):
            return self._announce_revoked("cancelled", terminated=True, signum=None, expired=False)
        if isinstance(error, JobFailed):
            exc_info.traceback = ""
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


class _ResultBackend:
    """A Redis backend of Celery. It stores chords and the results of tasks chained after a job, but no job's result."""

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **options: Any
    ) -> Any:
        # A chained task may have the same name as a job, but no delivery_info yet.
        if request is not None and request.task == TASK and request.delivery_info:
            return result
        return super().store_result(  # type: ignore[misc]
            task_id, result, state, traceback=traceback, request=request, **options
        )


class ResultBackend(_ResultBackend, RedisBackend):  # type: ignore[misc]
    pass


class SentinelResultBackend(_ResultBackend, SentinelBackend):  # type: ignore[misc]
    pass


def result_backend(address: str) -> str:
    """Returns the address of a Redis result backend for Celery that selects a class of this module."""
    backend = SentinelResultBackend if address.startswith("sentinel://") else ResultBackend
    return f"{__name__}:{backend.__name__}+{address.removeprefix('redis+')}"
