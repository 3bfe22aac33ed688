"""What the end of a run means for its job. PURE."""

import re
from dataclasses import replace
from typing import Any

from threadmill.result import Failure, FailureKind, JobState
from threadmill_worker.footnotes import blank, compose, plain
from threadmill_worker.progress import Answer, Outcome, Progress
from threadmill_worker.schema import check
from threadmill_worker.views import RunView

_QUOTA = re.compile(r"exceeded your current quota|insufficient_quota|credit balance", re.IGNORECASE)
#: What a filter says where the server has no words for it.
_FILTERED = "The response was filtered."
#: "Please try again in 12.3s", "... in 120ms", "... in 1m26.4s".
_TRY_AGAIN = re.compile(r"try again in (?:(\d{1,3})m)?(\d{1,5}(?:\.\d+)?)\s*(ms|s)\b", re.IGNORECASE)


def reason_of(run: RunView) -> tuple[Failure, float | None]:
    """Why a run failed, and how long the server asks to wait. Unknown codes are taken as permanent."""
    code, message = run.error_code, run.error_message or "the server gave no reason"
    match code:
        case "rate_limit_exceeded" | "insufficient_quota" | None if _QUOTA.search(f"{code} {message}"):
            return Failure(kind=FailureKind.QUOTA, message=message, code=code), None
        case "rate_limit_exceeded":
            kind = FailureKind.RATE_LIMITED
            return Failure(kind=kind, message=message, code=code, retryable=True), _asked_delay_s(message)
        case "server_error" | None:
            return Failure(kind=FailureKind.SERVER_ERROR, message=message, code=code, retryable=True), None
        case "invalid_prompt":
            return Failure(kind=FailureKind.INVALID_PROMPT, message=message, code=code), None
        case _:
            return Failure(kind=FailureKind.REJECTED, message=message, code=code), None


def _asked_delay_s(message: str) -> float:
    """How long a rate limit's message asks to wait."""
    asked = _TRY_AGAIN.search(message)
    if asked is None:
        return 5.0
    minutes, number, unit = asked.groups()
    return 60 * int(minutes or 0) + float(number) / (1000 if unit.lower() == "ms" else 1)


def misfit_of(progress: Progress, answer: Answer) -> str | None:
    """Why a whole answer is not what the job's `response_format` asked for; None if it is, or if there is none."""
    if _is_cut(progress.run) or blank(answer.blocks):
        return None
    return check(plain(answer.blocks), progress.wants.response_format)[1]


def outcome_of(progress: Progress, answer: Answer) -> Outcome:
    """The job's outcome from what its run wrote."""
    text, citations = compose(answer.blocks, answer.names, answer.artifacts)
    quotes = _quotes(answer.steps or ())
    outcome = Outcome(
        JobState.SUCCEEDED,
        text,
        answer.blocks,
        citations=tuple(each.model_copy(update={"quote": quotes.get(each.file_id)}) for each in citations),
        files=tuple(answer.artifacts.values()),
        steps=answer.steps or (),
    )
    run = progress.run
    if run is not None and _is_cut(run):
        if run.incomplete_reason == "content_filter":
            failure = Failure(kind=FailureKind.REJECTED, message=_FILTERED, code=run.incomplete_reason)
            return replace(outcome, state=JobState.FAILED, failure=failure)
        reason = run.incomplete_reason or "a limit"
        message = f"{reason} cut the answer; raise max_completion_tokens or shorten the input"
        failure = Failure(kind=FailureKind.INCOMPLETE, message=message, code=run.incomplete_reason)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    if blank(answer.blocks):
        message = "the run completed without a message"
        failure = Failure(kind=FailureKind.EMPTY_ANSWER, message=message, retryable=True)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    parsed, problem = check(plain(answer.blocks), progress.wants.response_format)
    if problem is not None:
        failure = Failure(kind=FailureKind.INVALID_ANSWER, message=problem, retryable=True)
        return replace(outcome, state=JobState.FAILED, failure=failure)
    return replace(outcome, parsed=parsed)


def _is_cut(run: RunView | None) -> bool:
    return run is not None and run.status == "incomplete"


def _quotes(steps: tuple[dict[str, Any], ...]) -> dict[str | None, str]:
    """The passages that searches found, by file; the best of each."""
    found = [result for step in steps if step["type"] == "file_search" for result in step["results"]]
    return {result["file_id"]: result["quote"] for result in reversed(found) if result.get("quote")}
