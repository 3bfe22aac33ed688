"""Failures of jobs whose attempts end without an outcome."""

import traceback
from pathlib import Path

from threadmill.job.result import Failure, FailureKind


def exhausted(interruptions: int, last: str = "") -> Failure:
    """Returns the failure of a job that too many processes have lost. `last`: how the separate process ended."""
    cause = f"the last, which ran nothing else, {last}" if last else "the last of them ran it alone"
    many = f"{interruptions} processes in a row ended or stopped responding while they ran it"
    message = f"{many}; {cause}; see the workers' logs"
    return Failure(kind=FailureKind.ATTEMPTS_EXHAUSTED, message=message, retryable=True)


def unexpected(error: Exception) -> Failure:
    """Returns the failure of a job whose attempt raised an exception. Its text may hold a secret and is left out."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"{Path(frame.filename).name}:{frame.lineno}"
    message = f"unexpected {type(error).__name__} at {location} in the worker; its log has the traceback"
    return Failure(kind=FailureKind.INTERNAL_ERROR, message=message)
