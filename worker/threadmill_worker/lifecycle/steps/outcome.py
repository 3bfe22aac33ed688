"""Derives the outcome of a job from the end of its run. PURE."""

from typing import Any

from threadmill.job.result import Failure, FailureKind, JobState
from threadmill_worker.answer.render import blank, compose, plain
from threadmill_worker.answer.schema import check
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.lifecycle.progress import Answer, CurrentRun, Outcome, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.server_errors import ServerError, failure_of

#: The message for a filtered answer, because the server sends none.
_FILTERED = "The response was filtered."


def reason_of(run: RunObservation) -> Failure:
    """Returns why a run failed."""
    return failure_of(ServerError(run.error_message, run.error_code, run.error_type))


def schema_error_of(progress: Progress, answer: Answer) -> str | None:
    """Returns why a complete answer does not match the job's `response_format`; None if it does, or without one."""
    if _is_cut(progress.run) or blank(answer.blocks):
        return None
    return check(plain(answer.blocks), progress.features.response_format)[1]


def outcome_of(progress: Progress, answer: Answer) -> Outcome:
    """Returns the job's outcome from its answer."""
    text, citations = compose(answer.blocks, answer.names, answer.artifacts)
    quotes = _quotes(answer.steps or ())
    outcome = Outcome(
        JobState.SUCCEEDED,
        text,
        answer.blocks,
        citations=tuple(each.model_copy(update={"quote": quotes.get(each.file_id)}) for each in citations),
        files=tuple(answer.artifacts.values()),
        steps=answer.steps or (),
        missing_steps=answer.missing_steps,
    )
    run = progress.run
    if run is not None and _is_cut(run):
        if run.seen.incomplete_reason == "content_filter":
            failure = Failure(kind=FailureKind.REJECTED, message=_FILTERED, code=run.seen.incomplete_reason)
            return replace(outcome, state=JobState.FAILED, failure=failure)
        reason = run.seen.incomplete_reason or "a limit"
        message = f"{reason} cut the answer; raise max_completion_tokens or shorten the input"
        failure = Failure(kind=FailureKind.INCOMPLETE, message=message, code=run.seen.incomplete_reason)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    if blank(answer.blocks):
        message = "the run completed without a message"
        failure = Failure(kind=FailureKind.EMPTY_ANSWER, message=message, retryable=True)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    parsed, problem = check(plain(answer.blocks), progress.features.response_format)
    if problem is not None:
        failure = Failure(kind=FailureKind.INVALID_ANSWER, message=problem, retryable=True)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    return replace(outcome, parsed=parsed)


def _is_cut(run: CurrentRun | None) -> bool:
    return run is not None and run.status == "incomplete"


def _quotes(steps: tuple[dict[str, Any], ...]) -> dict[str | None, str]:
    """Returns the best passage that searches found in each file, by file id."""
    found = [result for step in steps if step["type"] == "file_search" for result in step["results"]]
    return {result["file_id"]: result["quote"] for result in reversed(found) if result.get("quote")}
