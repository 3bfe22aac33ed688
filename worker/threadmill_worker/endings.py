"""What the end of a run means for its job. PURE."""

import re

from threadmill.result import Failure, FailureKind, JobState
from threadmill_worker.progress import Outcome
from threadmill_worker.views import RunView

_QUOTA = re.compile(r"exceeded your current quota|insufficient_quota|credit balance", re.IGNORECASE)
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


def answer_of(run: RunView | None, blocks: tuple[dict[str, object], ...]) -> Outcome:
    """The job's outcome from the content of the run's messages."""
    texts = [_block_text(block) for block in blocks]
    text = "\n\n".join(part for part in texts if part)
    if run is not None and run.status == "incomplete":
        reason = run.incomplete_reason or "a limit"
        message = f"{reason} cut the answer; raise max_completion_tokens or shorten the input"
        failure = Failure(kind=FailureKind.INCOMPLETE, message=message, code=run.incomplete_reason)
        return Outcome(JobState.FAILED, text, blocks, failure)
    if not any(block.get("type") != "text" or _block_text(block).strip() for block in blocks):
        message = "the run completed without a message"
        failure = Failure(kind=FailureKind.EMPTY_ANSWER, message=message, retryable=True)
        return Outcome(JobState.FAILED, text, blocks, failure)
    return Outcome(JobState.SUCCEEDED, text, blocks)


def _block_text(block: dict[str, object]) -> str:
    text = block.get("text") if block.get("type") == "text" else block.get("refusal")
    value = text.get("value") if isinstance(text, dict) else text
    return value if isinstance(value, str) else ""
