"""A file batch as OpenAI's Batch object, and its results as lines of its output files. PURE."""

import json
from datetime import datetime
from typing import Any

from threadmill.job.file_batch import FileBatch, FileBatchPhase, FileBatchState, KeptFileBatch
from threadmill.job.result import FailureKind, JobResult, JobState
from threadmill.settings.settings import Settings
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.batches.lines import CHAT, custom_id_of
from threadmill_gateway.openai.chat.object import completion_object, failure_of
from threadmill_gateway.openai.model_names import name_of
from threadmill_gateway.openai.responses.object import Shown, response_object

Object = dict[str, Any]

#: Ids of the files with the answers and with the errors of a batch: one of these, and the batch's own.
OUTPUT, ERRORS = "file-output-", "file-error-"

_BATCH = "batch_"

#: The statuses of a batch that changes no more.
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

#: Why a job that never had an answer did not get one.
_WITHOUT_ANSWER = {
    FailureKind.CANCELLED: ("batch_cancelled", "This request was not executed: it was cancelled."),
    FailureKind.OVERDUE: ("batch_expired", "This request could not be executed before the completion window expired."),
}


def output_file_of(batch_id: str, kind: str) -> str:
    return kind + batch_id.removeprefix(_BATCH)


def batch_of_file(file_id: str) -> tuple[str, str] | None:
    """Returns the batch that an output file belongs to, and its kind; None for other files."""
    for kind in (OUTPUT, ERRORS):
        if file_id.startswith(kind):
            return _BATCH + file_id.removeprefix(kind), kind
    return None


def status_of(state: FileBatchState, jobs: BatchRecord | None) -> str:
    """Returns the status of a batch. `jobs`: the counters of its jobs; None: there are none, or no more."""
    is_open = jobs is not None and jobs.open > 0
    match state.phase:
        case FileBatchPhase.FAILED:
            return "failed"
        case FileBatchPhase.STOPPED:
            return "cancelling" if is_open else "cancelled"
        case _ if state.cancelling_at is not None:
            return "cancelling"
        case FileBatchPhase.VALIDATING:
            return "validating"
        case FileBatchPhase.ENQUEUEING:
            return "in_progress"
        case _ if is_open:
            return "in_progress"
        case _:
            return "expired" if jobs and jobs.failures.get(FailureKind.OVERDUE) else "completed"


def batch_object(kept: KeptFileBatch, jobs: BatchRecord | None) -> Object:
    """Returns the Batch object."""
    made, state = kept
    status = status_of(state, jobs)
    completed, failed = _counts(jobs)
    ended_at = _seconds(jobs.changed_at if jobs else state.cancelling_at)
    has_files = status in ENDED
    return {
        "id": made.id,
        "object": "batch",
        "endpoint": made.route,
        "errors": _errors(state),
        "input_file_id": made.upload_id,
        "completion_window": made.completion_window,
        "status": status,
        "output_file_id": output_file_of(made.id, OUTPUT) if has_files and completed else None,
        "error_file_id": output_file_of(made.id, ERRORS) if has_files and failed else None,
        "created_at": _seconds(made.created_at),
        "in_progress_at": _seconds(state.began_at),
        "expires_at": _seconds(made.deadline_at),
        "finalizing_at": None,  # the files are made when they are read
        "completed_at": ended_at if status == "completed" else None,
        "failed_at": _seconds(state.failed_at),
        "expired_at": ended_at if status == "expired" else None,
        "cancelling_at": _seconds(state.cancelling_at),
        "cancelled_at": ended_at if status == "cancelled" else None,
        "request_counts": {"total": state.total, "completed": completed, "failed": failed},
        "usage": _usage(jobs) if jobs else None,
        "metadata": made.metadata,
    }


def line_of(made: FileBatch, record: JobRecord, result: JobResult, settings: Settings) -> tuple[str, bytes]:
    """Returns the file that a result belongs to, and its line there."""
    failure = failure_of(result)
    line: Object = {"id": f"batch_req_{record.id.replace('-', '')}", "custom_id": custom_id_of(made, record.job)}
    kind = result.failure.kind if failure and result.failure else None
    if kind in _WITHOUT_ANSWER:
        code, message = _WITHOUT_ANSWER[kind]
        line |= {"response": None, "error": {"code": code, "message": message}}
    elif failure is not None:
        line |= {"response": _response(record, failure.status, failure.body), "error": None}
    else:
        line |= {"response": _response(record, 200, _answer(made, record, result, settings)), "error": None}
    return (OUTPUT if failure is None else ERRORS), json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _answer(made: FileBatch, record: JobRecord, result: JobResult, settings: Settings) -> Object:
    model = name_of(record.job, settings)
    if made.route == CHAT:
        return completion_object(record, result, model)
    return response_object(Shown(record, model))


def _response(record: JobRecord, status: int, body: Object) -> Object:
    return {"status_code": status, "request_id": record.id, "body": body}


def _counts(jobs: BatchRecord | None) -> tuple[int, int]:
    """Returns the numbers of requests with an answer, be it a part, and without."""
    if jobs is None:
        return 0, 0
    incomplete = jobs.failures.get(FailureKind.INCOMPLETE, 0)
    ended = {state: jobs.jobs.get(state, 0) for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)}
    return (
        ended[JobState.SUCCEEDED] + incomplete,
        ended[JobState.FAILED] + ended[JobState.CANCELLED] - incomplete,
    )


def _errors(state: FileBatchState) -> Object | None:
    if not state.errors:
        return None
    fields = ("code", "line", "message", "param")
    return {"object": "list", "data": [error.model_dump(include=set(fields)) for error in state.errors]}


def _usage(jobs: BatchRecord) -> Object:
    return {
        "input_tokens": jobs.usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": jobs.usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": jobs.usage.total_tokens,
    }


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
