"""Recovers a job whose server ignores the response that a request continues from. PURE."""

from threadmill.job.result import Failure, FailureKind
from threadmill_worker.lifecycle.observations import ANSWERED, RunObservation
from threadmill_worker.lifecycle.progress import CurrentRun, Progress
from threadmill_worker.lifecycle.replace import replace


def lacks_context(run: RunObservation) -> bool:
    """Whether a run ended without the earlier messages: its server does not name the response it continues from."""
    return run.continues and not run.names_previous and (run.status in ANSWERED or bool(run.calls))


def send_again(progress: Progress, run: CurrentRun, now: float) -> Progress:
    """Drops the run, so that its request is sent again with all earlier messages. Fails the job if they are unknown."""
    was_sent_whole = bool(progress.without_context)
    progress = replace(progress, without_context=(*progress.without_context, run.id))
    if was_sent_whole or not progress.features.has_transcript:
        return progress.failed(no_context())
    if not run.past_rounds:
        return replace(progress, run=None)
    *earlier, last = run.past_rounds
    run = replace(run, seen=last, past_rounds=tuple(earlier), rounds=run.rounds - 1, active_since=now)
    return replace(progress, run=run)


def no_context() -> Failure:
    """Returns the failure of a job that would be answered without the earlier messages of its thread."""
    message = (
        "the server does not continue from earlier responses, and the messages of this thread are not stored: "
        "send the earlier messages with the job (`messages`), on a new thread"
    )
    return Failure(kind=FailureKind.UNSUPPORTED, message=message)
