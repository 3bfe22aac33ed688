"""How Celery, and whatever monitors it, learns how a job ended. Its result is stored by FINISH, never by Celery."""

from typing import Any

from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import Ignore
from celery.worker.request import Request as CeleryRequest

from threadmill.queue import TASK
from threadmill.secrets.redaction import redact, redact_all


class JobFailed(Exception):
    """The job failed; the text is the kind of the failure and its message."""


class JobCancelled(Ignore):  # type: ignore[misc]
    """The job was cancelled: a revoked task to Celery."""


class Request(CeleryRequest):  # type: ignore[misc]
    """A delivery of a job, with the events that tell of its end. Named in the task's `Request`."""

    def revoked(self) -> bool:
        """Never: a revoked job has ended, and an expired one is to fail. Both need their results, so both run."""
        return False

    @property
    def argsrepr(self) -> str:
        """The arguments as monitors show them. A message of a foreign client holds the job itself."""
        return redact(str(super().argsrepr))

    @property
    def kwargsrepr(self) -> str:
        return redact(str(super().kwargsrepr))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What `celery inspect` shows."""
        return redact_all(super().info(safe))

    def send_event(self, type: str, **fields: Any) -> None:
        """An event for monitors. Those of failures hold the text of an exception."""
        super().send_event(type, **redact_all(fields))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Announces a failed or a cancelled job. Our own frames explain neither, so no traceback goes along."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps it
        if isinstance(error, JobCancelled):
            return self._announce_revoked("cancelled", terminated=True, signum=None, expired=False)
        if isinstance(error, JobFailed):
            exc_info.traceback = ""
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


class _ResultBackend:
    """For one of Celery's Redis backends, which keep chords and the results of tasks chained after a job.

    The result of a job itself is not stored: FINISH does that.
    """

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **options: Any
    ) -> Any:
        # Only a task that was delivered has delivery_info; one that is chained after it may have the same name.
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
    """Celery's address of a Redis result backend, served by our class."""
    backend = SentinelResultBackend if address.startswith("sentinel://") else ResultBackend
    return f"{__name__}:{backend.__name__}+{address.removeprefix('redis+')}"
