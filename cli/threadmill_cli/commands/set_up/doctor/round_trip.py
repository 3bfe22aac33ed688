"""The round trip of `threadmill doctor`: runs one prompt, or finds out why it has no answer."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from threadmill.client import Client
from threadmill.errors import ThreadmillError, WaitTimeout
from threadmill.job.progress import CallErrors, ProgressSummary
from threadmill.job.result import JobResult, JobState
from threadmill.store.records.job import JobRecord
from threadmill.store.records.worker import Worker

#: Seconds to wait for the result after the deadline: the worker still cancels the run and deletes its objects.
GRACE_S = 5.0


class NoAnswer(ThreadmillError):
    """The text says why there is no answer."""


def round_trip(client: Client, endpoint: str, timeout_s: float) -> JobResult:
    """Runs one prompt and returns its result. After `timeout_s`, cancels the job and raises NoAnswer."""
    deadline_at = client.store.now() + timedelta(seconds=timeout_s)
    limits = {"deadline_at": deadline_at, "timeout_s": timeout_s}
    handle = client.enqueue({"prompt": "Answer with the word: pong", "endpoint": endpoint, **limits})
    try:
        result = handle.wait(timeout_s + GRACE_S)
    except WaitTimeout:
        waits_for = client.waits_for(handle.id)
        cause = why_unanswered(handle.get(), client.workers(), waits_for, client.store.now())
        handle.cancel()
        raise NoAnswer(f"no answer in {timeout_s:g} s: {cause}") from None
    except KeyboardInterrupt:
        with suppress(ThreadmillError):
            handle.cancel()
        raise
    if result.failure:
        raise NoAnswer(f"{result.failure.kind}: {result.failure.message}")
    return result


def why_unanswered(record: JobRecord, workers: Sequence[Worker], waits_for: str | None, now: datetime) -> str:
    """Returns what an unfinished job waits for; `waits_for`: in the queue. PURE."""
    if record.state is JobState.QUEUED:
        return _why_queued(str(record.job.endpoint), workers, waits_for)
    progress = record.progress_summary
    if progress is None:
        return f"worker {record.worker} has taken the job but made no call so far; see its log"
    if progress.failure is not None:
        return f"{progress.failure.kind}: {progress.failure.message}; its worker is still deleting its remote objects"
    return "; ".join((_waiting_for(progress, now), *_call_errors(progress.errors)))


def _why_queued(endpoint: str, workers: Sequence[Worker], waits_for: str | None) -> str:
    serving = [worker for worker in workers if endpoint in worker.endpoints]
    if not serving:
        return f"no worker that serves {endpoint!r} is running now: start one with `threadmill worker`"
    if all(worker.jobs >= worker.concurrency for worker in serving):
        jobs = sum(worker.jobs for worker in serving)
        return f"the job waits for its turn: all workers of {endpoint!r} are busy ({jobs:,} jobs); start another worker"
    return f"the job waits for {waits_for or 'a worker'}; see the logs of the workers, and `threadmill endpoints`"


def _waiting_for(progress: ProgressSummary, now: datetime) -> str:
    if progress.intent is not None:
        return f"the server has not replied to the call {progress.intent!r}"
    if progress.run is None:
        return "no run was under way"
    run, seconds = progress.run.seen, now.timestamp() - progress.run.started_at
    return f"run {run.id} was still {run.status} after {seconds:.0f} s"


def _call_errors(errors: CallErrors) -> list[str]:
    if errors.reason is None or errors.first_at is None:
        return []
    since = datetime.fromtimestamp(errors.first_at, UTC)
    return [f"failed calls in a row: {errors.count:,}, since {since:%Y-%m-%d %H:%M:%S} UTC; last: {errors.reason}"]
