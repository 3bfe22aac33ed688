"""Makes the result of an ended job, the record of its kept thread, and its log line."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from threadmill.job.result import JobResult
from threadmill.store.records.job import JobRecord
from threadmill.store.records.remote import KeptThread, LeftoverRecord, Transcript
from threadmill_worker.attempt.shortening import Shortened, shorten
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.progress import Outcome, Progress


def result_of(
    record: JobRecord, progress: Progress, outcome: Outcome, at: datetime, thread_id: str | None
) -> JobResult:
    """Returns the result of a job that ends at `at`. `thread_id`: the thread, for later jobs."""
    failure = outcome.failure
    if failure is not None and record.moves:
        earlier = "; ".join(f"before that, endpoint {move.endpoint!r}: {move.reason}" for move in record.moves)
        failure = failure.model_copy(update={"message": f"{failure.message}; {earlier}"})
    return record.ended(
        outcome.state,
        failure,
        at,
        progress.limited_s,
        text=outcome.text,
        content=outcome.content,
        parsed=outcome.parsed,
        citations=outcome.citations,
        files=outcome.files,
        steps=outcome.steps,
        missing_steps=outcome.missing_steps,
        ignored_tools=progress.ignored_tools,
        full_price=progress.cost.full_price,
        thread_id=thread_id,
        **progress.spent,
    )


def leftovers_of(spec: JobSpec, progress: Progress) -> list[LeftoverRecord]:
    """Returns the remote objects that the job could not delete."""
    return [
        LeftoverRecord(endpoint=spec.endpoint, kind=each.kind, id=each.id, key=progress.key)
        for each in progress.leftovers
    ]


def kept_thread(
    job_id: str, spec: JobSpec, progress: Progress, state: ThreadState, dropped: int, at: datetime
) -> KeptThread:
    """Returns the record of a thread that outlives its job, with the objects to delete together with it.

    `dropped`: messages that its transcript has lost now.
    """
    return KeptThread(
        endpoint=spec.endpoint,
        id=progress.thread_key or "",
        job_id=job_id,
        created_at=at,
        used_at=at,
        jobs=int(progress.features.keep_thread),  # 0: it is not listed, unless an earlier job kept it
        assistant=spec.assistant,
        kind=state.kind,
        latest=state.latest,
        transcript=state.transcript,
        dropped=dropped + (spec.kept.dropped if spec.kept else 0),
        things={each.id: each.kind for each in progress.leftovers if each.kind != "thread"},
        key=None if state.kind == "local" else progress.key,  # no server has it, so any key will do
    )


def shortened(state: ThreadState, limit: int) -> tuple[ThreadState, Shortened | None]:
    """Returns the state of a local thread with at most `limit` characters, and what its transcript has lost.

    None: it has lost nothing. Other threads stay as they are.
    """
    if state.kind != "local" or state.transcript is None:
        return state, None
    left = shorten(state.transcript.items, limit)
    if not (left.dropped or left.images):
        return state, None
    return replace(state, transcript=Transcript(items=left.items)), left


def end_of(result: JobResult) -> dict[str, Any]:
    """Returns the fields of a log line about the end of a job; `duration_s` counts from its first claim."""
    began = result.timings.started_at or result.timings.finished_at
    return {
        "state": result.state.value,
        "failure": result.failure.kind.value if result.failure else None,
        "message": result.failure.message if result.failure else None,
        "duration_s": round((result.timings.finished_at - began).total_seconds(), 3),
        "runs": result.runs,
        "calls": result.calls,
    }


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
