"""The steps before the run: uploading files, and making a vector store of the files to search. PURE."""

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    Action,
    AttachStore,
    CreateStore,
    InspectThread,
    PollStore,
    Step,
    Upload,
    Wait,
)
from threadmill_worker.lifecycle.observations import SetupObservation, StoreSeen, ThreadSeen, Uploaded
from threadmill_worker.lifecycle.polling import growing_delay_s
from threadmill_worker.lifecycle.progress import Leftover, Progress, VectorStore
from threadmill_worker.lifecycle.replace import replace


def is_set_up(progress: Progress) -> bool:
    """Whether the server has everything that the next message or run needs."""
    features, store = progress.features, progress.store
    if len(progress.uploaded) < features.uploads:
        return False
    if not features.search:
        return True
    if store is None or (features.continues and not progress.thread_inspected):
        return False
    if not store.own and progress.messages_sent < progress.messages:
        return True  # the last message adds the files to it
    return store.ready and (store.attached or not features.continues)


def next_setup_step(progress: Progress, limits: RunLimits, now: float) -> Step:
    """Returns the next step of the setup, while `is_set_up` is False."""
    store = progress.store
    if len(progress.uploaded) < progress.features.uploads:
        return Upload(len(progress.uploaded))
    if progress.features.continues and not progress.thread_inspected:
        return InspectThread()
    if store is None:
        return CreateStore()
    if store.ready:
        return AttachStore(store.id)
    give_up_at = min(store.since + limits.indexing_limit_s, progress.deadline_at)
    if now >= give_up_at:
        return progress.without_errors().failed(_never_ready(now - store.since, store.detail))
    return PollStore(store.id) if now >= progress.poll_at else Wait(min(progress.poll_at, give_up_at))


def setup_observed(
    progress: Progress, action: Action, seen: SetupObservation, limits: RunLimits, now: float
) -> Progress:
    """Returns the progress after a step of the setup."""
    match seen:
        case Uploaded(file_id, shared):
            progress = progress if shared else progress.owning(Leftover("file", file_id))
            return replace(progress, intent=None, uploaded=(*progress.uploaded, file_id))
        case ThreadSeen(store_id):
            store = None if store_id is None else VectorStore(store_id, now, attached=True, own=False)
            return replace(progress, thread_inspected=True, store=store)
        case StoreSeen():
            return _store_observed(progress, action, seen, limits, now)


def _store_observed(progress: Progress, action: Action, seen: StoreSeen, limits: RunLimits, now: float) -> Progress:
    """Returns the progress after a vector store was created, polled or attached."""
    store = progress.store
    if store is None:
        progress = progress if seen.shared else progress.owning(Leftover("vector_store", seen.id))
        store = VectorStore(seen.id, now)
    attached = store.attached or isinstance(action, AttachStore)
    store = replace(store, ready=seen.ready, attached=attached, detail=seen.detail)
    return replace(progress, intent=None, store=store, poll_at=now + growing_delay_s(now - store.since, limits))


def _never_ready(age: float, detail: str) -> Failure:
    """`detail`: how many of the files are ready, if the server reports it."""
    message = f"the server had not made the files searchable after {age:.0f} s"
    message += f" ({detail}); raise indexing_limit_s if it needs longer" if detail else "; see indexing_limit_s"
    return Failure(kind=FailureKind.STUCK, message=message, retryable=True)
