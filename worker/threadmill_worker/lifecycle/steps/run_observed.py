"""Applies a reply about the current run: it was started, polled, cancelled or given tool outputs. PURE."""

from typing import Any

from threadmill.job.result import Failure, FailureKind, Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import Action, CancelRun, Resolve, SubmitOutputs
from threadmill_worker.lifecycle.observations import ANSWERED, ENDED, OutputReady, RunObservation, ToolCall
from threadmill_worker.lifecycle.polling import PollPlan, poll_delay_s
from threadmill_worker.lifecycle.progress import CurrentRun, Features, FinishedCall, Intent, Leftover, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.answer import add_to_answer
from threadmill_worker.lifecycle.steps.recovery.context import lacks_context, send_again
from threadmill_worker.lifecycle.steps.recovery.discounts import spend
from threadmill_worker.lifecycle.steps.recovery.reruns import run_ended


def run_observed(
    progress: Progress, action: Action, seen: RunObservation, limits: RunLimits, now: float, plan: PollPlan
) -> Progress:
    """Returns the progress after a reply about a run. `action` caused the reply, `plan` says when to poll next."""
    before = progress.run
    submitted = isinstance(action, SubmitOutputs) or action == Resolve(Intent.SUBMIT_OUTPUTS)
    is_new = before is None or (submitted and seen.is_round)
    if before is not None and not is_new:
        # Some servers return another id with each reply: keep the id of the first reply.
        seen = replace(seen, id=before.id, continues=before.seen.continues)
    run = _current_run(before, action, seen, now, submitted=submitted)
    runs = progress.runs + (before is None)
    progress = replace(progress, run=run, runs=runs, intent=None, pending=None, locked_by=None)
    if submitted and before is not None and seen.calls and seen.calls == before.calls:
        # The server ignored the outputs: they are submitted again after a pause.
        progress = replace(progress, wait_until=now + limits.first_poll_s)
    if is_new:
        progress = _register(progress, seen, is_first=before is None)
    if _is_paid(seen):
        progress = spend(progress, seen, _usage_of(seen))
    if progress.outcome is None and lacks_context(seen):
        return send_again(progress, run, now)
    if seen.answer is not None:  # no call is needed to read it
        progress = add_to_answer(progress, seen.answer)
    outputs = _known_outputs(progress, seen.calls) | run.outputs
    run = replace(run, outputs=outputs, shown_steps=_shown_steps(progress, run, seen))
    progress = replace(progress, run=run, poll_at=now + poll_delay_s(run, limits, plan, now))
    if progress.outcome is None and is_new and (unread := _without_files(progress.features, seen)):
        return progress.failed(unread)
    return progress if progress.outcome else run_ended(progress, seen, limits, now)


def output_ready(progress: Progress, done: OutputReady) -> Progress:
    """Returns the progress with the output of a tool call. The same call of a later run can use the output too."""
    run = progress.run
    if run is None:
        return progress
    progress = replace(progress, run=replace(run, outputs={**run.outputs, done.call_id: done.output}))
    if not done.reusable:
        return progress
    kept = FinishedCall(done.output, progress.runs)
    new = {call.signature: kept for call in run.calls if call.id == done.call_id}
    return replace(progress, finished_calls=progress.finished_calls | new)


def _current_run(
    before: CurrentRun | None, action: Action, seen: RunObservation, now: float, *, submitted: bool
) -> CurrentRun:
    seen = replace(seen, answer=None, steps=None, functions=None, own_tools=None)  # later steps do not need them
    if before is None:
        return CurrentRun(seen, started_at=now, active_since=now)
    run = replace(before, seen=seen)
    if submitted:
        past = (before.seen,) if seen.is_round else ()
        run = replace(run, rounds=run.rounds + 1, active_since=now, past_rounds=(*run.past_rounds, *past))
    if isinstance(action, CancelRun):
        refused = seen.status not in ENDED and seen.status != "cancelling"
        run = replace(run, cancel_requested_at=now, cancel_refused=refused)
    return run


def _register(progress: Progress, seen: RunObservation, *, is_first: bool) -> Progress:
    """Records a new run, or a new response of a later round, among the leftovers, the cost and the lost objects."""
    if seen.kind is not None:
        progress = progress.owning(Leftover(seen.kind, seen.id))
    cost = replace(progress.cost, model=seen.model or progress.features.model)
    lost = replace(progress.lost, runs=progress.lost.runs + seen.is_anonymous)
    ignored = progress.ignored_tools
    if seen.functions is not None and is_first:
        ignored = tuple(name for name in progress.features.functions if name not in seen.functions)
    return replace(progress, cost=cost, lost=lost, ignored_tools=ignored)


def _shown_steps(progress: Progress, run: CurrentRun, seen: RunObservation) -> dict[int, tuple[dict[str, Any], ...]]:
    if seen.steps is None or not progress.features.steps:
        return run.shown_steps
    return {**run.shown_steps, run.rounds: seen.steps}


def _without_files(features: Features, run: RunObservation) -> Failure | None:
    """Returns a failure if the run's tools show that it cannot read the job's files."""
    lacking = [tool for tool in features.file_tools if run.own_tools is not None and tool not in run.own_tools]
    if not lacking:
        return None
    message = (
        f"the run cannot read the job's files: it has no {' and no '.join(lacking)}; name the tool in the job's "
        "`tools`, or give it to the assistant"
    )
    return Failure(kind=FailureKind.REJECTED, message=message)


def _is_paid(run: RunObservation) -> bool:
    """Whether its usage is final: the run has ended, or continues under another id."""
    return run.status in ENDED or (run.is_round and bool(run.calls))


def _usage_of(run: RunObservation) -> Usage:
    """Returns the usage of a run. Every answer uses tokens: a server that reports none does not count them."""
    if run.usage is not None and run.usage != Usage():
        return run.usage
    is_unreported = not run.is_anonymous and (run.status in ANSWERED or bool(run.calls))
    return Usage(unreported=int(is_unreported))


def _known_outputs(progress: Progress, calls: tuple[ToolCall, ...]) -> dict[str, str]:
    """Returns the outputs of the same calls in earlier runs of the job, by the call ids of this run.

    A call that is repeated within one run is executed again, because the model wants a new output.
    """
    found = {call.id: progress.finished_calls.get(call.signature) for call in calls}
    return {call_id: call.output for call_id, call in found.items() if call is not None and call.run < progress.runs}
