"""Applies the result of an action to a job's progress. PURE: the counterpart of decide.py."""

from dataclasses import replace
from typing import assert_never

from threadmill.job.result import Failure, FailureKind, Usage
from threadmill.settings.run_limits import RunLimits
from threadmill_worker.lifecycle.actions import (
    Action,
    AttachStore,
    CancelRun,
    CreateThread,
    Delete,
    Resolve,
    SubmitOutputs,
)
from threadmill_worker.lifecycle.answer import add_to_answer
from threadmill_worker.lifecycle.observations import (
    ANSWERED,
    ENDED,
    AnswerRead,
    Deleted,
    Downloaded,
    FileNamed,
    Gone,
    LaneClosed,
    MessageAdded,
    NothingFound,
    NotSent,
    Observation,
    OutputReady,
    Rejected,
    RunChanged,
    RunObservation,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    ToolCall,
    Unknown,
    Unlocked,
    Unresolved,
    Untraceable,
    Unusable,
    Uploaded,
)
from threadmill_worker.lifecycle.progress import (
    Features,
    FinishedCall,
    Intent,
    Leftover,
    Progress,
    VectorStore,
)
from threadmill_worker.lifecycle.recovery.call_errors import call_failed, give_up_intent
from threadmill_worker.lifecycle.recovery.context import lacks_context, send_again
from threadmill_worker.lifecycle.recovery.discounts import spend
from threadmill_worker.lifecycle.recovery.reruns import run_ended

#: The time to the next poll, as a share of the run's age: a result is noticed late by about a quarter of that age.
POLL_SHARE = 0.25

#: The range in which a server can choose the delay before the next poll, in seconds.
HINT_RANGE_S = (0.25, 10.0)


def observe(progress: Progress, action: Action, view: Observation, limits: RunLimits, now: float) -> Progress:
    """Returns the progress after `action` returned `view`."""
    if isinstance(view, Rejected | NotSent | LaneClosed | Unknown | Unusable | Gone):
        return call_failed(progress, action, view, limits, now)
    # These do not show that the server is reachable again.
    if not isinstance(view, NothingFound | Unresolved | Untraceable | Unlocked | RunChanged):
        progress = progress.untroubled()
    match view:
        case Uploaded(file_id, shared):
            progress = progress if shared else _own(progress, Leftover("file", file_id))
            return replace(progress, intent=None, uploaded=(*progress.uploaded, file_id))
        case ThreadSeen(store_id):
            theirs = None if store_id is None else VectorStore(store_id, now, attached=True, own=False)
            return replace(progress, thread_seen=True, store=theirs)
        case StoreSeen():
            return _store_observed(progress, action, view, limits, now)
        case ThreadCreated(thread_id, run, remote):
            sent = action.messages if isinstance(action, CreateThread) else 0
            progress = replace(progress, thread_id=thread_id, messages_sent=sent)
            progress = _own(progress, Leftover("thread", thread_id)) if remote else progress
            if run is None:
                return replace(progress, intent=None, pending=None)
            return _run_observed(progress, action, run, limits, now)
        case MessageAdded():
            return replace(progress, intent=None, messages_sent=progress.messages_sent + 1, locked_by=None)
        case RunObservation():
            return _run_observed(progress, action, view, limits, now)
        case OutputReady():
            return _keep_output(progress, view)
        case AnswerRead() | FileNamed() | Downloaded() | StepsRead():
            return add_to_answer(progress, view)
        case Unlocked():
            return replace(progress, locked_by=None, wait_until=now + limits.first_poll_s)
        case Deleted():
            kept = (leftover for leftover in progress.leftovers if action != Delete(leftover))
            # What ran there was stopped before, or will not be: see clean_up.py.
            return replace(progress, run=None, intent=None, leftovers=tuple(kept))
        case RunChanged():
            return replace(progress, poll_at=now)
        case NothingFound():
            return replace(progress, intent=None)
        case Unresolved():
            pending = progress.pending and replace(progress.pending, in_doubt=True)
            return replace(progress, intent=None, pending=pending)
        case Untraceable():
            return give_up_intent(progress)
        case _:
            assert_never(view)


def _own(progress: Progress, made: Leftover) -> Progress:
    """Records an object that the job must delete. Threads come before the objects that they refer to."""
    leftovers = sorted((*progress.leftovers, made), key=lambda each: each.kind != "thread")
    return replace(progress, leftovers=tuple(leftovers))


def _store_observed(progress: Progress, action: Action, seen: StoreSeen, limits: RunLimits, now: float) -> Progress:
    """A vector store was created, polled or attached."""
    store = progress.store
    if store is None:
        progress = progress if seen.shared else _own(progress, Leftover("vector_store", seen.id))
        store = VectorStore(seen.id, now)
    attached = store.attached or isinstance(action, AttachStore)
    store = replace(store, ready=seen.ready, attached=attached, detail=seen.detail)
    pause_s = min(max((now - store.since) * POLL_SHARE, limits.first_poll_s), limits.max_poll_interval_s)
    return replace(progress, intent=None, store=store, poll_at=now + pause_s)


def _run_observed(progress: Progress, action: Action, run: RunObservation, limits: RunLimits, now: float) -> Progress:
    """A run was started, polled, cancelled, or received its tool outputs."""
    before = progress.run
    submitted = isinstance(action, SubmitOutputs) or action == Resolve(Intent.SUBMIT_OUTPUTS)
    is_new = before is None or (submitted and run.is_round)
    if before is not None and not is_new:
        # Keep the id of the request: some servers return another id with each reply.
        run = replace(run, id=before.id, continues=before.continues)
    if is_new and run.kind is not None:
        progress = _own(progress, Leftover(run.kind, run.id))
    if before is None:
        progress = replace(
            progress, runs=progress.runs + 1, run_since=now, active_since=now, rounds=0, outputs={}, past_rounds=(),
            shown_steps={}, cancel_requested_at=None, cancel_refused=False,
        )  # fmt: skip
    elif submitted:
        progress = replace(progress, rounds=progress.rounds + 1, active_since=now)
        if run.is_round:
            progress = replace(progress, past_rounds=(*progress.past_rounds, before))
        if run.calls and run.calls == before.calls:  # the server ignored them: submit them again after a pause
            progress = replace(progress, wait_until=now + limits.first_poll_s)
    if is_new:
        progress = replace(
            progress,
            model=run.model or progress.features.model,
            lost_runs=progress.lost_runs + run.is_anonymous,
        )
        if run.functions is not None and not progress.rounds:
            unknown = tuple(name for name in progress.features.functions if name not in run.functions)
            progress = replace(progress, ignored_tools=unknown)
    if isinstance(action, CancelRun):
        refused = run.status not in ENDED and run.status != "cancelling"
        progress = replace(progress, cancel_requested_at=now, cancel_refused=refused)
    if _is_paid(run):
        progress = spend(progress, run, _usage_of(run))
    if progress.outcome is None and lacks_context(run):
        return send_again(progress, replace(run, answer=None, steps=None), now)
    if run.answer is not None:  # no further call is needed; the job's answer keeps it
        progress = add_to_answer(progress, run.answer)
        run = replace(run, answer=None)
    if run.steps is not None:
        if progress.features.steps:
            progress = replace(progress, shown_steps={**progress.shown_steps, progress.rounds: run.steps})
        run = replace(run, steps=None)
    progress = replace(progress, outputs=_known_outputs(progress, run.calls) | progress.outputs)
    news_at = max(progress.active_since, progress.cancel_requested_at or 0.0)
    progress = replace(
        progress,
        intent=None,
        pending=None,
        locked_by=None,
        run=replace(run, functions=None, own_tools=None),  # later polls do not need them
        poll_at=now + _poll_interval(run, now - news_at, limits),
    )
    if progress.outcome is None and is_new and (unread := _without_files(progress.features, run)):
        return progress.failed(unread)
    return progress if progress.outcome else run_ended(progress, run, limits, now)


def _without_files(features: Features, run: RunObservation) -> Failure | None:
    """Why a run cannot read files of the job, if its tools show that."""
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
    return run.status in ENDED or (run.kind is not None and bool(run.calls))


def _usage_of(run: RunObservation) -> Usage:
    """The usage of a run. Every answer uses tokens: if none are reported, the server does not report them."""
    if run.usage is not None and run.usage != Usage():
        return run.usage
    is_unreported = not run.is_anonymous and (run.status in ANSWERED or bool(run.calls))
    return Usage(unreported=int(is_unreported))


def _keep_output(progress: Progress, done: OutputReady) -> Progress:
    """Stores an output for its call, and for the same call of a later run."""
    progress = replace(progress, outputs={**progress.outputs, done.call_id: done.output})
    if not done.reusable or progress.run is None:
        return progress
    kept = FinishedCall(done.output, progress.runs)
    new = {call.signature: kept for call in progress.run.calls if call.id == done.call_id}
    return replace(progress, finished=progress.finished | new)


def _known_outputs(progress: Progress, calls: tuple[ToolCall, ...]) -> dict[str, str]:
    """Outputs of the same calls in earlier runs of the job, by the call ids of this run.

    A call that one run repeats is executed again: the model wants a fresh output.
    """
    found = {call.id: progress.finished.get(call.signature) for call in calls}
    return {call_id: call.output for call_id, call in found.items() if call is not None and call.run < progress.runs}


def _poll_interval(run: RunObservation, age: float, limits: RunLimits) -> float:
    """Seconds to the next poll: the server's hint, or a share of the run's age."""
    if run.poll_after_s is not None:
        shortest, longest = HINT_RANGE_S
        return min(max(shortest, run.poll_after_s), longest)  # in this order, NaN too is the shortest
    return min(max(age * POLL_SHARE, limits.first_poll_s), limits.max_poll_interval_s)
