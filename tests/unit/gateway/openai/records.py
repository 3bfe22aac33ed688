"""Records of jobs, for the translations of OpenAI's objects."""

from datetime import UTC, datetime

from threadmill import JobRecord, JobResult, JobState, PromptJob
from threadmill.job.result import Failure, Timings, Usage

NOW = datetime(2026, 11, 29, 6, tzinfo=UTC)
JOB_ID = "0b8a1c9e-1f2d-4c3b-9a8d-7e6f5a4b3c2d"


def record_of(state="succeeded", text="", job=None, failure=None, job_id=JOB_ID, **result):
    """Returns the record of a job in a state, with a result if it is an end."""
    state = JobState(state)
    has_ended = state not in (JobState.QUEUED, JobState.RUNNING)
    if failure:
        result["failure"] = Failure(kind=failure, message="the reason", code=result.pop("code", None))
    usage = Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)
    times = Timings(created_at=NOW, finished_at=NOW)
    whole = {"job_id": job_id, "state": state, "text": text, "usage": usage, "timings": times, **result}
    return JobRecord(
        id=job_id,
        state=state,
        job=PromptJob.parse({"prompt": "Hello", "endpoint": "openai", **(job or {})}),
        created_at=NOW,
        finished_at=NOW if has_ended else None,
        result=JobResult(**whole) if has_ended else None,
    )
