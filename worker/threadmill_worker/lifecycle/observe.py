"""How what came of an action changes the saved place of a job. PURE: the other half of decide.py."""

from dataclasses import replace
from typing import assert_never

from threadmill.job.result import Failure, FailureKind, JobState, Usage
from threadmill.settings.limits import Policy
from threadmill_worker.lifecycle.actions import (
    AbandonRun,
    Action,
    AskAgain,
    AttachStore,
    CancelRun,
    CreateThread,
    Decide,
    Decision,
    Delete,
    Resolve,
    SubmitOutputs,
)
from threadmill_worker.lifecycle.answer import add_to_answer, next_answer_step
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
    Answer,
    FinishedCall,
    Intent,
    Leftover,
    Outcome,
    Progress,
    VectorStore,
    Wants,
)
from threadmill_worker.lifecycle.recovery.call_errors import call_failed, give_up_intent
from threadmill_worker.lifecycle.recovery.context import lacks_context, send_again
from threadmill_worker.lifecycle.recovery.discounts import spend
from threadmill_worker.lifecycle.recovery.reruns import rerun, run_ended

#: A look falls due when the run is older by this share: a result is late by about a quarter of its run's time.
POLL_SHARE = 0.25

#: What a server may wish for the time to the next look, in seconds.
HINT_RANGE_S = (0.25, 10.0)


def observe(progress: Progress, action: Action, view: Observation, policy: Policy, now: float) -> Progress:
    """The progress after `action` showed `view`."""
    if isinstance(view, Rejected | NotSent | LaneClosed | Unknown | Unusable | Gone):
        return _complete(call_failed(progress, action, view, policy, now), now)
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
            return _store_observed(progress, action, view, policy, now)
        case ThreadCreated(thread_id, run, remote):
            sent = action.messages if isinstance(action, CreateThread) else 0
            progress = replace(progress, thread_id=thread_id, messages_sent=sent)
            progress = _own(progress, Leftover("thread", thread_id)) if remote else progress
            if run is None:
                return replace(progress, intent=None, asked=None)
            return _complete(_run_observed(progress, action, run, policy, now), now)
        case MessageAdded():
            return replace(progress, intent=None, messages_sent=progress.messages_sent + 1, locked_by=None)
        case RunObservation():
            return _complete(_run_observed(progress, action, view, policy, now), now)
        case OutputReady():
            return _keep_output(progress, view)
        case AnswerRead() | FileNamed() | Downloaded() | StepsRead():
            return _complete(add_to_answer(progress, view), now)
        case Unlocked():
            return replace(progress, locked_by=None, wait_until=now + policy.poll_first_s)
        case Deleted():
            kept = (leftover for leftover in progress.leftovers if action != Delete(leftover))
            # What ran there was stopped before, or will not be: see decide._clean_up.
            return replace(progress, run=None, intent=None, leftovers=tuple(kept))
        case RunChanged():
            return replace(progress, look_at=now)
        case NothingFound():
            return replace(progress, intent=None)
        case Unresolved():
            asked = progress.asked and replace(progress.asked, in_doubt=True)
            return replace(progress, intent=None, asked=asked)
        case Untraceable():
            return give_up_intent(progress)
        case _:
            assert_never(view)


def _own(progress: Progress, made: Leftover) -> Progress:
    """It is this job's to delete: threads first, then what they refer to."""
    leftovers = sorted((*progress.leftovers, made), key=lambda each: each.kind != "thread")
    return replace(progress, leftovers=tuple(leftovers))


def _complete(progress: Progress, now: float) -> Progress:
    """With the job's outcome, if nothing more is to be learnt of the answer."""
    if progress.answer is None or progress.outcome is not None:
        return progress
    step = next_answer_step(progress, progress.answer, now)
    if not isinstance(step, Decide):
        return progress
    return replace(progress, outcome=step.outcome, answer=Answer(()))  # which stands in the outcome now


def _store_observed(progress: Progress, action: Action, seen: StoreSeen, policy: Policy, now: float) -> Progress:
    """A vector store was made, looked at, or attached."""
    store = progress.store
    if store is None:
        progress = progress if seen.shared else _own(progress, Leftover("vector_store", seen.id))
        store = VectorStore(seen.id, now)
    attached = store.attached or isinstance(action, AttachStore)
    store = replace(store, ready=seen.ready, attached=attached, detail=seen.detail)
    pause_s = min(max((now - store.since) * POLL_SHARE, policy.poll_first_s), policy.poll_longest_s)
    return replace(progress, intent=None, store=store, look_at=now + pause_s)


def conclude(progress: Progress, action: Decision, policy: Policy, now: float) -> Progress:
    """The progress after a decision that needs no call."""
    match action:
        case AskAgain(problem):
            return replace(progress, misfit=problem, answer=None, run=None)
        case Decide(outcome):
            return replace(progress.untroubled(), outcome=outcome)
        case AbandonRun(failure):
            return rerun(progress, failure, policy, now, new_thread=True)


def _run_observed(progress: Progress, action: Action, run: RunObservation, policy: Policy, now: float) -> Progress:
    """A run was started, looked at, given its tools' outputs, or told to stop."""
    before = progress.run
    submitted = isinstance(action, SubmitOutputs) or action == Resolve(Intent.SUBMIT_OUTPUTS)
    is_new = before is None or (submitted and run.is_round)
    if before is not None and not is_new:
        # The one we asked by: some servers return another with each reply.
        run = replace(run, id=before.id, continues=before.continues)
    if is_new and run.kind is not None:
        progress = _own(progress, Leftover(run.kind, run.id))
    if before is None:
        progress = replace(
            progress, runs=progress.runs + 1, run_since=now, active_since=now, rounds=0, outputs={}, past_rounds=(),
            shown_steps={}, cancel_asked_at=None, cancel_refused=False,
        )  # fmt: skip
    elif submitted:
        progress = replace(progress, rounds=progress.rounds + 1, active_since=now)
        if run.is_round:
            progress = replace(progress, past_rounds=(*progress.past_rounds, before))
        if run.calls and run.calls == before.calls:  # not taken in: submit them again, but not at once
            progress = replace(progress, wait_until=now + policy.poll_first_s)
    if is_new:
        progress = replace(
            progress,
            model=run.model or progress.wants.model,
            lost_runs=progress.lost_runs + run.is_anonymous,
        )
        if run.functions is not None and not progress.rounds:
            unknown = tuple(name for name in progress.wants.functions if name not in run.functions)
            progress = replace(progress, ignored_tools=unknown)
    if isinstance(action, CancelRun):
        refused = run.status not in ENDED and run.status != "cancelling"
        progress = replace(progress, cancel_asked_at=now, cancel_refused=refused)
    if _is_paid(run):
        progress = spend(progress, run, _usage_of(run))
    if progress.outcome is None and lacks_context(run):
        return send_again(progress, replace(run, answer=None, steps=None), now)
    if run.answer is not None:  # no call need fetch it; it is kept once, as the job's answer
        progress = add_to_answer(progress, run.answer)
        run = replace(run, answer=None)
    if run.steps is not None:
        if progress.wants.steps:
            progress = replace(progress, shown_steps={**progress.shown_steps, progress.rounds: run.steps})
        run = replace(run, steps=None)
    progress = replace(progress, outputs=_known_outputs(progress, run.calls) | progress.outputs)
    news_at = max(progress.active_since, progress.cancel_asked_at or 0.0)
    progress = replace(
        progress,
        intent=None,
        asked=None,
        locked_by=None,
        run=replace(run, functions=None, own_tools=None),  # which says nothing new in later looks
        look_at=now + _poll_interval(run, now - news_at, policy),
    )
    if progress.outcome is None and is_new and (unread := _without_files(progress.wants, run)):
        return replace(progress, outcome=Outcome(JobState.FAILED, failure=unread))
    return progress if progress.outcome else run_ended(progress, run, policy, now)


def _without_files(wants: Wants, run: RunObservation) -> Failure | None:
    """Why a run cannot read files of the job, if its tools show that."""
    lacking = [tool for tool in wants.file_tools if run.own_tools is not None and tool not in run.own_tools]
    if not lacking:
        return None
    message = (
        f"the run cannot read the job's files: it has no {' and no '.join(lacking)}; name the tool in the job's "
        "`tools`, or give it to the assistant"
    )
    return Failure(kind=FailureKind.REJECTED, message=message)


def _is_paid(run: RunObservation) -> bool:
    """Whether nothing more is spent on it: it has ended, or goes on under another id."""
    return run.status in ENDED or (run.kind is not None and bool(run.calls))


def _usage_of(run: RunObservation) -> Usage:
    """What a run has spent. An answer always takes tokens: one without is of a server that does not report them."""
    if run.usage is not None and run.usage != Usage():
        return run.usage
    is_unreported = not run.is_anonymous and (run.status in ANSWERED or bool(run.calls))
    return Usage(unreported=int(is_unreported))


def _keep_output(progress: Progress, done: OutputReady) -> Progress:
    """Keeps an output for its call, and for the same call of a later run."""
    progress = replace(progress, outputs={**progress.outputs, done.call_id: done.output})
    if not done.reusable or progress.run is None:
        return progress
    kept = FinishedCall(done.output, progress.runs)
    new = {call.signature: kept for call in progress.run.calls if call.id == done.call_id}
    return replace(progress, finished=progress.finished | new)


def _known_outputs(progress: Progress, calls: tuple[ToolCall, ...]) -> dict[str, str]:
    """Outputs an earlier run of the job has paid for, by the ids under which this one asks for them.

    A call that the same run repeats is made again: the model wants to know anew.
    """
    found = {call.id: progress.finished.get(call.signature) for call in calls}
    return {call_id: call.output for call_id, call in found.items() if call is not None and call.run < progress.runs}


def _poll_interval(run: RunObservation, age: float, policy: Policy) -> float:
    """Seconds to the next look: the server's wish, else a share of the time the run has been at work."""
    if run.poll_after_s is not None:
        shortest, longest = HINT_RANGE_S
        return min(max(shortest, run.poll_after_s), longest)  # in this order, NaN too is the shortest
    return min(max(age * POLL_SHARE, policy.poll_first_s), policy.poll_longest_s)
