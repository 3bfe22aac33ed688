"""Says what a step of a job did, for the job's timeline. PURE: a function of the progress before and after it."""

from collections.abc import Iterator

from threadmill.job.events.timeline import TimelineKind
from threadmill_worker.lifecycle.progress import CurrentRun, Leftover, Progress

#: A kind of entry, and its detail.
Happened = tuple[TimelineKind, str]


def happened(before: Progress, after: Progress) -> Iterator[Happened]:
    """Yields what changed in a step, in the order in which steps happen. Polls that show no change yield nothing."""
    if after.limited is not before.limited and after.limited is not None:
        yield TimelineKind.LIMITED, after.limited.reason
    elif after.errors.count > before.errors.count:
        yield TimelineKind.CALL_FAILED, after.errors.reason or ""
    yield from _set_up(before, after)
    if after.run is not before.run:
        yield from _run(before, after)
    if after.reruns > before.reruns:
        yield TimelineKind.RERUN, after.rerun_reason or ""
    if len(after.without_context) > len(before.without_context):
        yield TimelineKind.RERUN, "the server ignored the earlier response: the request is sent again with all messages"
    if after.answer is not before.answer:
        yield from _answer(before, after)
    if after.outcome is not before.outcome and after.outcome is not None and (failure := after.outcome.failure):
        yield TimelineKind.FAILED, f"{failure.kind}: {failure.message}"
    if len(after.leftovers) < len(before.leftovers):
        yield from _deleted(before.leftovers, after.leftovers)


def _set_up(before: Progress, after: Progress) -> Iterator[Happened]:
    for file_id in after.uploaded[len(before.uploaded) :]:
        yield TimelineKind.FILES, f"uploaded {file_id}"
    if after.store is not before.store and (store := after.store) is not None:
        earlier = before.store
        if earlier is None or earlier.id != store.id:
            yield TimelineKind.FILES, f"vector store {store.id}"
        if store.ready and not (earlier and earlier.ready):
            yield TimelineKind.FILES, "vector store ready"
    if after.thread_id and after.thread_id != before.thread_id:
        yield TimelineKind.THREAD, after.thread_id


def _run(before: Progress, after: Progress) -> Iterator[Happened]:
    earlier, run = before.run, after.run
    if run is None:
        return
    if earlier is None or after.runs > before.runs:
        yield TimelineKind.RUN_CREATED, f"{run.id}: {run.status}"
    elif run.id != earlier.id or run.rounds != earlier.rounds:
        yield TimelineKind.RUN_CHANGED, f"round {run.rounds + 1}: {run.status}"
    elif run.status != earlier.status:
        yield TimelineKind.RUN_CHANGED, _status(run)
    if run.cancel_requested_at is not None and (earlier is None or earlier.cancel_requested_at is None):
        yield TimelineKind.RUN_CANCELLED, run.id


def _status(run: CurrentRun) -> str:
    """Returns the status of a run, and why it ended so."""
    reasons = (run.seen.error_code, run.seen.error_message, run.seen.incomplete_reason)
    reason = " ".join(reason for reason in reasons if reason)
    return f"{run.status}: {reason}" if reason else run.status


def _answer(before: Progress, after: Progress) -> Iterator[Happened]:
    if after.answer is None:
        return
    if before.answer is None:
        yield TimelineKind.ANSWER, ""
    known = before.answer.artifacts if before.answer else {}
    for file_id, artifact in after.answer.artifacts.items():
        if file_id not in known:
            yield TimelineKind.FILES, f"downloaded {artifact.name}" if artifact.error is None else artifact.error


def _deleted(before: tuple[Leftover, ...], after: tuple[Leftover, ...]) -> Iterator[Happened]:
    remaining = {(each.kind, each.id) for each in after}
    for each in before:
        if (each.kind, each.id) not in remaining:
            yield TimelineKind.DELETED, f"{each.kind} {each.id}"
