"""The steps of a run: poll it, call its tools, submit their outputs, stop it, read its answer. PURE."""

import math

from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    Action,
    CallTools,
    CancelRun,
    PollRun,
    ReadAnswer,
    Step,
    SubmitOutputs,
    Wait,
)
from threadmill_worker.lifecycle.observations import ANSWERED, ENDED
from threadmill_worker.lifecycle.progress import CurrentRun, Progress
from threadmill_worker.lifecycle.steps.recovery.reruns import rerun

#: Outputs that reach the server less than this before the run expires may come too late.
SUBMIT_MARGIN_S = 5.0


def next_run_step(progress: Progress, run: CurrentRun, limits: RunLimits, now: float) -> Step:
    """Returns the next step of a job whose run is active or has an answer to read."""
    if run.status in ENDED:  # it has an answer: runs that ended without one were handled when that was observed
        return ReadAnswer(run.id)
    if run.seen.is_call:  # nothing of it is on the server, so it can neither expire nor be stuck
        return _next_tool_step(progress, run, limits)
    # A run is queued again after its tool outputs.
    queued = run.status == "queued"
    since = run.active_since if queued else run.started_at
    limit = limits.queued_limit_s if queued else limits.run_limit_s
    age = now - since
    if run.cancel_requested_at is not None or age >= limit:
        return stop_run(progress, limits, now) or rerun(progress, _stuck(run, age), limits, now, new_thread=True)
    if run.calls:
        return _next_tool_step(progress, run, limits)
    return _poll_or_wait(progress, run.id, since + limit, now)


def stop_run(progress: Progress, limits: RunLimits, now: float) -> Action | None:
    """Returns the action that cancels the run or waits for it to stop. None: it has stopped or cannot be stopped."""
    run = progress.run
    if run is None or run.status in ENDED or run.seen.is_call or run.cancel_refused or not limits.supports.cancel:
        return None
    if run.cancel_requested_at is None:
        return CancelRun(run.id)
    give_up_at = run.cancel_requested_at + limits.cancel_limit_s
    return None if now >= give_up_at else _poll_or_wait(progress, run.id, give_up_at, now)


def has_unread_answer(progress: Progress) -> bool:
    return progress.answer is None and progress.run is not None and progress.run.status in ANSWERED


def _next_tool_step(progress: Progress, run: CurrentRun, limits: RunLimits) -> Step:
    if run.rounds >= limits.max_tool_rounds:
        return progress.without_errors().failed(_too_many_rounds(run.rounds))
    todo = tuple(call for call in run.calls if call.id not in run.outputs)
    if todo:
        return CallTools(todo, min(_expiry(run, limits) - SUBMIT_MARGIN_S, progress.deadline_at))
    return SubmitOutputs(run.id, {call.id: run.outputs[call.id] for call in run.calls})


def _expiry(run: CurrentRun, limits: RunLimits) -> float:
    """When the run expires, by the local clock. The server's clock may be wrong, so only its durations are used."""
    if run.seen.is_call:
        return math.inf
    expires_at, created_at = run.seen.expires_at, run.seen.created_at
    if expires_at is None:
        return run.started_at + limits.run_limit_s
    if created_at is None or created_at >= expires_at:
        return expires_at
    return run.started_at + expires_at - created_at


def _poll_or_wait(progress: Progress, run_id: str, latest: float, now: float) -> Action:
    if progress.outcome is None:
        latest = min(latest, progress.deadline_at)
    return PollRun(run_id) if now >= progress.poll_at else Wait(min(progress.poll_at, latest))


def _too_many_rounds(rounds: int) -> Failure:
    message = f"after {rounds} rounds of tools the run asks for more; raise max_tool_rounds if it needs them"
    return Failure(kind=FailureKind.TOOL_FAILED, message=message)


def _stuck(run: CurrentRun, age: float) -> Failure:
    message = f"the run was still {run.status} after {age:.0f} s"
    return Failure(kind=FailureKind.STUCK, message=message, retryable=True)
