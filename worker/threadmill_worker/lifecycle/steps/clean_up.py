"""Cleans up a job whose outcome is known: cancels its run, deletes its leftovers, then finishes it. PURE."""

from threadmill.job.result import FailureKind, JobState
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import Action, Delete, Finish, ReadAnswer, Resolve, Wait
from threadmill_worker.lifecycle.progress import Outcome, Progress
from threadmill_worker.lifecycle.steps.current_run import has_unread_answer, stop_run
from threadmill_worker.lifecycle.steps.recovery.call_errors import CLEANUP_TRIES


def next_clean_up(progress: Progress, outcome: Outcome, limits: RunLimits, now: float) -> Action:
    """Returns the next action of the clean-up; the last is Finish. The sweep deletes what cannot be deleted now."""
    if progress.errors.count < CLEANUP_TRIES and (action := _end_run(progress, limits, now)) is not None:
        return action
    leftover = next((each for each in progress.leftovers if each.tries < CLEANUP_TRIES), None)
    if leftover is None or keeps_thread(progress, outcome):
        return Finish(outcome)
    return Wait(progress.wait_until) if now < progress.wait_until else Delete(leftover)


def keeps_thread(progress: Progress, outcome: Outcome) -> bool:
    """Whether the thread and its files are kept. A failed job keeps its thread only if its answer was cut short."""
    wanted = progress.features.keep_thread or progress.features.continues
    incomplete = outcome.failure is not None and outcome.failure.kind is FailureKind.INCOMPLETE
    return wanted and (outcome.state is JobState.SUCCEEDED or incomplete)


def _end_run(progress: Progress, limits: RunLimits, now: float) -> Action | None:
    """Returns the action that finds or stops an active run. None: no run is active, or it cannot be stopped."""
    if now < progress.wait_until:
        return Wait(progress.wait_until)
    if progress.intent is not None:
        return Resolve(progress.intent)
    if (stop := stop_run(progress, limits, now)) is not None:
        return stop
    if progress.run is not None and has_unread_answer(progress) and not progress.errors.count:
        return ReadAnswer(progress.run.id)  # it names files that the model made, which are deleted too
    return None
