"""Batches of callers: nobody learns of another caller's batches, not even their names."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from threadmill.errors import BatchNotFound
from threadmill_gateway.callers import Caller
from threadmill_gateway.problems import Problem


@contextmanager
def hiding_others(caller: Caller, batch: str | None) -> Iterator[None]:
    """Replaces BatchNotFound, whose text suggests names of other batches, by a problem with the caller's own name."""
    try:
        yield
    except BatchNotFound:
        if caller.operates:
            raise
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"there is no batch {batch!r}, or it is no longer kept",
            "GET /v1/job-batches lists those there are",
        ) from None
