"""Batches: the requests of a file are answered over time, in a file of responses and a file of errors."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from threadmill_emulator.errors.api_error import ApiError, no_referenced_file
from threadmill_emulator.errors.responses_api import finished_batch, no_batch, wrong_purpose
from threadmill_emulator.ids import new_id
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.schemas.wire import Body, Metadata
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.state.batch_files import Line, answered, over_limit, read, unanswered, written
from threadmill_emulator.state.batch_work import Endpoint, Starters
from threadmill_emulator.storage.files import Files

EDGE = 0.1  #: share of a batch's time for each of validating, finalizing and cancelling
WINDOW_S = 24 * 3600
OVER = frozenset({"completed", "failed", "expired", "cancelled"})
MOMENTS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class OutputExpiry(Body):
    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class CreateBatch(Body):
    input_file_id: str
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: OutputExpiry | None = None


@dataclass
class Batch:
    asked: CreateBatch
    created: float
    lines: list[Line]
    errors: list[Object]  #: errors in the input file
    id: str = field(default_factory=lambda: new_id("batch"))
    status: str = "validating"
    moments: dict[str, float] = field(default_factory=dict)  #: when each status was reached
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def expires(self) -> float:
        return self.created + WINDOW_S

    @property
    def model(self) -> str:
        return str(self.lines[0].request.body.get("model")) if self.lines else ""

    @property
    def tokens(self) -> int:
        return sum(line.tokens for line in self.lines)

    def is_under_way(self, at: float) -> bool:
        """Whether its tokens counted as enqueued at this time."""
        ended = min((self.moments[status] for status in OVER & self.moments.keys()), default=math.inf)
        return self.moments.get("in_progress", math.inf) <= at < ended

    def become(self, status: str, at: float) -> None:
        self.status = status
        self.moments[status] = at


class Batches:
    def __init__(self, clock: Callable[[], float], files: Files, starters: Starters, options: Options) -> None:
        self._clock, self._files, self._starters = clock, files, starters
        self._batch_s, self._limit = options.batch_s, options.batch_tokens
        self._batches: dict[str, Batch] = {}

    def create(self, asked: CreateBatch) -> Batch:
        if asked.input_file_id not in self._files:
            raise no_referenced_file(asked.input_file_id, "input_file_id")
        file = self._files.get(asked.input_file_id)
        if file.purpose != "batch":
            raise wrong_purpose(file.id, "batch")
        batch = Batch(asked, self._clock(), *read(file.data, asked.endpoint))
        self._batches[batch.id] = batch
        return batch

    def get(self, id: str) -> Batch:
        if id not in self._batches:
            raise no_batch(id)
        self._advance(self._batches[id])
        return self._batches[id]

    def all(self) -> list[Batch]:
        """Oldest first."""
        return [self.get(id) for id in self._batches]

    def cancel(self, id: str) -> Batch:
        batch = self.get(id)
        if batch.status in OVER:
            raise finished_batch(batch.status)
        if batch.status != "cancelling":
            batch.become("cancelling", self._clock())
        return batch

    def _advance(self, batch: Batch) -> None:
        """Advances the batch to the current time."""
        now, edge_s = self._clock(), self._batch_s * EDGE
        if batch.status == "validating" and now >= batch.created + edge_s:
            self._admit(batch, batch.created + edge_s)
            batch.become("failed" if batch.errors else "in_progress", batch.created + edge_s)
        if batch.status == "in_progress":
            done_at = self._work(batch, now)
            if done_at is not None:
                batch.become("finalizing", done_at)
            elif now >= batch.expires:
                self._finish(batch, "expired", batch.expires)
        if batch.status == "finalizing" and now >= batch.moments["finalizing"] + edge_s:
            self._finish(batch, "completed", batch.moments["finalizing"] + edge_s)
        if batch.status == "cancelling" and now >= batch.moments["cancelling"] + edge_s:
            self._finish(batch, "cancelled", batch.moments["cancelling"] + edge_s)

    def _admit(self, batch: Batch, at: float) -> None:
        """Adds an error if the batch exceeds its model's limit of enqueued tokens."""
        if self._limit is None or batch.errors:
            return
        earlier = [other for other in self._batches.values() if other.created < batch.created]
        for other in earlier:
            self._advance(other)
        enqueued = sum(other.tokens for other in earlier if other.model == batch.model and other.is_under_way(at))
        if enqueued + batch.tokens > self._limit:
            batch.errors.append(over_limit(batch.model, self._limit))

    def _work(self, batch: Batch, now: float) -> float | None:
        """Answers the lines that are due, one after the other. Returns the time of the last one if all are answered."""
        each_s = self._batch_s * (1 - 2 * EDGE) / len(batch.lines)
        due = batch.moments["in_progress"]
        for line in batch.lines:
            due += each_s
            if now < due:
                return None
            if line.answer is None:
                self._answer(line)
        return due if all(line.answer for line in batch.lines) else None

    def _answer(self, line: Line) -> None:
        try:
            line.work = line.work or self._starters[line.request.url](line.request.body)
            line.answer = line.work.answer()
        except ApiError as refusal:
            line.answer = (refusal.status, refusal.body())

    def _finish(self, batch: Batch, status: str, at: float) -> None:
        batch.become(status, at)
        expiry = batch.asked.output_expires_after
        lives_s = expiry.seconds if expiry else None
        for line in batch.lines:
            if line.work and not line.answer:
                line.work.drop()
        good = [answered(line) for line in batch.lines if line.succeeded]
        bad = [
            answered(line) if line.answer else unanswered(line, status) for line in batch.lines if not line.succeeded
        ]
        if good:
            name = f"{batch.id}_output.jsonl"
            batch.output_file_id = self._files.add(name, written(good), "batch_output", lives_s).id
        if bad:
            name = f"{batch.id}_error.jsonl"
            batch.error_file_id = self._files.add(name, written(bad), "batch_output", lives_s).id
