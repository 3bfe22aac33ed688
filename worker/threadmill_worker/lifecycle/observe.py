"""Applies the result of an action to a job's progress. PURE: the counterpart of decide.py."""

from typing import assert_never

from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import Action, CreateThread, Delete
from threadmill_worker.lifecycle.observations import (
    AnswerPart,
    CallError,
    Deleted,
    Inconclusive,
    Limited,
    MessageAdded,
    NothingFound,
    NotSent,
    Observation,
    OutputReady,
    RunChanged,
    RunObservation,
    SetupObservation,
    ThreadCreated,
    Unlocked,
    Unresolved,
    Untraceable,
)
from threadmill_worker.lifecycle.polling import NO_PLAN, PollPlan
from threadmill_worker.lifecycle.progress import Leftover, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.answer import add_to_answer
from threadmill_worker.lifecycle.steps.recovery.call_errors import call_failed, give_up_intent
from threadmill_worker.lifecycle.steps.recovery.limits import wait_for_limit
from threadmill_worker.lifecycle.steps.run_observed import output_ready, run_observed
from threadmill_worker.lifecycle.steps.setup import setup_observed


def observe(
    progress: Progress, action: Action, seen: Observation, limits: RunLimits, now: float, plan: PollPlan = NO_PLAN
) -> Progress:
    """Returns the progress after `action` returned `seen`. `plan`: when to poll the job's runs."""
    if isinstance(seen, CallError):
        return call_failed(progress, action, seen, limits, now)
    if isinstance(seen, Inconclusive):
        return _inconclusive_observed(progress, action, seen, limits, now)
    progress = progress.without_errors()
    if isinstance(seen, SetupObservation):
        return setup_observed(progress, action, seen, limits, now)
    if isinstance(seen, AnswerPart):
        return add_to_answer(progress, seen)
    match seen:
        case ThreadCreated():
            return _thread_created(progress, action, seen, limits, now, plan)
        case MessageAdded():
            return replace(progress, intent=None, messages_sent=progress.messages_sent + 1, locked_by=None)
        case RunObservation():
            return run_observed(progress, action, seen, limits, now, plan)
        case OutputReady():
            return output_ready(progress, seen)
        case Deleted():
            kept = (leftover for leftover in progress.leftovers if action != Delete(leftover))
            # The run on a deleted thread was stopped before, or could not be: see steps/clean_up.py.
            return replace(progress, run=None, intent=None, leftovers=tuple(kept))
        case _:
            assert_never(seen)


def _inconclusive_observed(
    progress: Progress, action: Action, seen: Inconclusive, limits: RunLimits, now: float
) -> Progress:
    """Returns the progress with its call errors not cleared."""
    match seen:
        case NothingFound():
            return replace(progress, intent=None)
        case Unresolved():
            pending = progress.pending and replace(progress.pending, in_doubt=True)
            return replace(progress, intent=None, pending=pending)
        case Untraceable():
            return give_up_intent(progress)
        case Unlocked():
            return replace(progress, locked_by=None, wait_until=now + limits.first_poll_s)
        case RunChanged():
            return replace(progress, poll_at=now)
        case Limited(reason=reason) if progress.outcome is not None:  # the result must not wait for it
            return call_failed(progress, action, NotSent(reason), limits, now)
        case Limited(until, reason, in_row):
            return wait_for_limit(progress, reason, until, now, in_row=in_row)


def _thread_created(
    progress: Progress, action: Action, seen: ThreadCreated, limits: RunLimits, now: float, plan: PollPlan
) -> Progress:
    sent = action.messages if isinstance(action, CreateThread) else 0
    progress = replace(progress, thread_id=seen.id, messages_sent=sent, intent=None)
    if seen.remote:
        progress = progress.owning(Leftover("thread", seen.id))
    if seen.run is None:
        return replace(progress, pending=None)
    return run_observed(progress, action, seen.run, limits, now, plan)
