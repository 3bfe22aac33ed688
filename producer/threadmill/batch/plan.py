"""How a batch is gone about, and what a run is going to do about each document. PURE."""

from dataclasses import dataclass, field
from enum import StrEnum

from threadmill.batch.results import Earlier
from threadmill.batch.spending import Limits
from threadmill.result import ENDPOINT_FAILURES, JobState

#: Jobs of the batch that stand in Redis unfinished, at most: their texts must not fill it.
MAX_QUEUED = 10_000


@dataclass(frozen=True)
class Manner:
    """How a batch is gone about."""

    limits: Limits = field(default_factory=Limits)
    max_queued: int = MAX_QUEUED
    retry_failed: bool = False  #: ask again what failed in an earlier run
    anew: bool = False  #: take no answers of jobs of earlier runs


class Standing(StrEnum):
    """How a document stands as a run begins."""

    ANSWERED = "answered"  #: in an earlier run: kept
    FAILED = "failed"  #: in an earlier run: kept
    AGAIN = "again"  #: cancelled in an earlier run, or failed and to be retried: asked again
    CHANGED = "changed"  #: since an earlier run: asked
    NEW = "new"  #: asked
    BAD = "bad"  #: cannot be asked about


def standing(earlier: Earlier | None, *, is_known: bool, retry_failed: bool) -> Standing:
    """By what an earlier run left of what is asked; `is_known`: it left something of the document.

    A failure of the endpoint says nothing about the document, so it is asked again without `retry_failed`.
    """
    if earlier is None:
        return Standing.CHANGED if is_known else Standing.NEW
    if earlier.state == JobState.SUCCEEDED:
        return Standing.ANSWERED
    stays_failed = earlier.state == JobState.FAILED and earlier.failure not in ENDPOINT_FAILURES and not retry_failed
    return Standing.FAILED if stays_failed else Standing.AGAIN
