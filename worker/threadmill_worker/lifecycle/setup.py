"""What has to be on the server before the run: uploaded files, and a vector store of those to be searched. PURE."""

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import AttachStore, CreateStore, InspectThread, PollStore, Step, Upload, Wait
from threadmill_worker.lifecycle.progress import Progress


def next_setup_step(progress: Progress, limits: RunLimits, now: float) -> Step | None:
    """The next thing to make or to wait for; None when all is there."""
    if len(progress.uploaded) < progress.features.uploads:
        return Upload(len(progress.uploaded))
    return _next_store_step(progress, limits, now) if progress.features.search else None


def _next_store_step(progress: Progress, limits: RunLimits, now: float) -> Step | None:
    continues, store = progress.features.continues, progress.store
    if continues and not progress.thread_seen:
        return InspectThread()
    if store is None:
        return CreateStore()
    if not store.own and progress.messages_sent < progress.messages:
        return None  # the last message puts the files into it
    if not store.ready:
        give_up_at = min(store.since + limits.indexing_limit_s, progress.deadline_at)
        if now >= give_up_at:
            return progress.untroubled().failed(_never_ready(now - store.since, store.detail))
        return PollStore(store.id) if now >= progress.poll_at else Wait(min(progress.poll_at, give_up_at))
    return AttachStore(store.id) if continues and not store.attached else None


def _never_ready(age: float, detail: str) -> Failure:
    """`detail`: how many of the files are ready, if the server has said so."""
    message = f"the server had not made the files searchable after {age:.0f} s"
    message += f" ({detail}); raise indexing_limit_s if it needs longer" if detail else "; see indexing_limit_s"
    return Failure(kind=FailureKind.STUCK, message=message, retryable=True)
