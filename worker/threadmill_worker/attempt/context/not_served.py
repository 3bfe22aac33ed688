"""The exception for a job that this worker cannot execute."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadmill.errors import InvalidJob, SettingsError
from threadmill.job.result import Failure, FailureKind
from threadmill_worker.store.remote import UnreadableThread
from threadmill_worker.tools.tool import ToolsUnavailable


class NotServed(Exception):
    """This worker cannot execute the job. `failure` holds the reason and the remedy.

    `retryable`: another worker, or this one with other settings, may execute the job.
    """

    def __init__(self, kind: FailureKind, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.failure = Failure(kind=kind, message=message, retryable=retryable)


@contextmanager
def raising_not_served() -> Iterator[None]:
    """Turns errors of the settings, the job, its tools and its thread into NotServed."""
    try:
        yield
    except SettingsError as error:
        raise NotServed(FailureKind.REJECTED, f"this worker cannot serve the job: {error}") from None
    except ToolsUnavailable as error:
        raise NotServed(FailureKind.UNREACHABLE, str(error)) from None
    except InvalidJob as error:
        raise NotServed(FailureKind.REJECTED, str(error), retryable=False) from None
    except UnreadableThread as error:
        raise NotServed(FailureKind.UNREADABLE, str(error), retryable=False) from None
