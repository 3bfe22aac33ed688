"""The records of batches, and of remote batches in the provider's Batch API."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, Field

from threadmill import stored
from threadmill.job.model import StoredModel
from threadmill.job.result import OPEN, FailureKind, JobResult, JobState, ModelUsage, Usage
from threadmill.store.records.job import FORMAT
from threadmill.store.records.stats import failure_of, usage_fields


class BatchRecord(StoredModel):
    """A batch: the number of its jobs in each state, and what the ended jobs have spent.

    Its hash holds these numbers, so that reading a batch reads no job. A redriven job counts its tokens of all times,
    but its failure only if it failed the last time.
    """

    name: str
    changed_at: AwareDatetime  #: when one of its jobs last changed its state
    jobs: dict[JobState, int]
    documents: int | None = None  #: number of documents; None: unknown
    paused: bool = False  #: workers start none of its jobs
    cancel_requested: bool = False  #: no more of its jobs are enqueued
    generation: int = 0  #: how often the whole batch was started again
    seen_to: bool = False  #: a command enqueues its documents, or waits for their jobs
    usage_by_model: tuple[ModelUsage, ...] = ()
    calls: int = 0  #: HTTP calls made
    failures: dict[FailureKind, int] = Field(default={})  #: number of failed jobs by kind, the most frequent first
    concurrent: int | None = None  #: the most jobs that run at a time; None: no limit
    max_cost: float | None = None  #: at this cost, its command enqueues no more jobs; None: no limit
    max_tokens: int | None = None  #: likewise, tokens

    @property
    def total(self) -> int:
        return sum(self.jobs.values())

    @property
    def open(self) -> int:
        """The number of jobs that have not ended."""
        return sum(self.jobs.get(state, 0) for state in OPEN)

    @property
    def ended(self) -> int:
        """The number of jobs that have ended."""
        return self.total - self.open

    @property
    def expected(self) -> int:
        """The number of jobs when all documents are enqueued."""
        return max(self.total, self.documents or 0)

    def left_s(self, rate: float | None) -> float | None:
        """Returns the time until all jobs have ended, in seconds; None: not known. `rate`: jobs that end per second."""
        return (self.expected - self.ended) / rate if rate and self.open and not self.paused else None

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.usage_by_model), Usage())

    @classmethod
    def read(cls, name: str, changed_at: datetime, fields: Mapping[str, str], *, seen_to: bool = False) -> Self:
        """Parses a batch. Unknown fields are ignored; a damaged number counts as 0."""
        plain = (*JobState, "documents", "generation", "calls", "concurrent", "max_tokens")
        numbers = {field: _number(name, fields[field]) for field in plain if field in fields}
        spent: dict[tuple[str, str], dict[str, int]] = {}
        failures = Counter[FailureKind]()
        for field, number in fields.items():
            match field.split(":", 3):
                case ["usage", kind, lane, model] if kind in Usage.model_fields:
                    spent.setdefault((model, lane), {})[kind] = _number(name, number)
                case ["failed", kind]:
                    failures[FailureKind(kind)] += _number(name, number)
        return cls.model_validate(
            {
                "name": name,
                "changed_at": changed_at,
                "jobs": {state: numbers[state] for state in JobState if state in numbers},
                "documents": numbers.get("documents"),
                "paused": "paused" in fields,
                "cancel_requested": "cancel_requested" in fields,
                "generation": numbers.get("generation", 0),
                "seen_to": seen_to,
                "usage_by_model": [
                    {"model": model or None, "lane": lane or None, "usage": usage}
                    for (model, lane), usage in sorted(spent.items())
                ],
                "calls": numbers.get("calls", 0),
                "concurrent": numbers.get("concurrent"),
                "max_cost": _amount(name, fields.get("max_cost")),
                "max_tokens": numbers.get("max_tokens"),
                "failures": {kind: number for kind, number in failures.most_common() if number > 0},
            }
        )

    @staticmethod
    def counts(result: JobResult) -> dict[str, int]:
        """Returns what the end of a job adds to the fields of its batch."""
        counted = usage_fields(result)
        if result.calls > 0:
            counted["calls"] = result.calls
        if kind := failure_of(result):
            counted[f"failed:{kind}"] = 1
        return counted


def _number(batch: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        stored.leave_out(f"a number of batch {batch}", "", "no integer")
        return 0


def _amount(batch: str, text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        stored.leave_out(f"the max_cost of batch {batch}", "", "no number")
        return None


class RemoteBatch(StoredModel):
    """A remote batch, and the state of its submission."""

    name: str  #: threadmill's name
    endpoint: str
    made_at: AwareDatetime
    sending: bool = False  #: a call that creates something may have taken effect: check whether it did before the retry
    file_id: str | None = None  #: the file of requests, after its upload
    batch_id: str | None = None  #: the provider's id, after its creation
    lane: str = ""  #: named as a pool
    tries: int = 0  #: number of earlier remote batches that did not answer its jobs
    limited: bool = False  #: the last of them exceeded a limit of the server: the lane submits one at a time
    not_before: datetime | None = None  #: the earliest time to submit it
    reason: str | None = None  #: why its jobs still wait, for `threadmill jobs show`
    format: int = FORMAT
    key: str | None = None  #: the variable with the key that it belongs to, if its endpoint has several keys
