"""What `threadmill doctor` says of a prompt that gets no answer in its time."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobState
from threadmill.store.records.job import JobRecord
from threadmill.store.records.worker import Worker
from threadmill_cli.commands.set_up.doctor.round_trip import why_unanswered

NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)
BEGUN = NOW - timedelta(seconds=30)


def record(state=JobState.RUNNING, **progress):
    place = json.dumps({"deadline_at": NOW.timestamp(), **progress}) if progress else None
    job = PromptJob(prompt="-", endpoint="mill")
    return JobRecord(id="j1", state=state, job=job, created_at=BEGUN, owner="host:1:a:7", progress=place)


def worker(endpoints=("mill",), jobs=0):
    return Worker(name="host:1:a", seen_at=NOW, concurrency=2, jobs=jobs, endpoints=endpoints)


def why(record, *workers):
    return why_unanswered(record, workers, "davinci, which is paused", NOW)


@pytest.mark.parametrize(
    ("workers", "cause"),
    [
        ((), "no worker that serves 'mill' is running now"),
        ((worker(endpoints=("other",)),), "no worker that serves 'mill' is running now"),
        ((worker(jobs=2), worker(jobs=2)), "the job waits for its turn: all workers of 'mill' are busy (4 jobs)"),
        ((worker(jobs=2), worker()), "the job waits for davinci, which is paused; see the logs"),
    ],
)
def test_a_job_that_no_worker_took(workers, cause):
    assert why(record(JobState.QUEUED), *workers).startswith(cause)


def test_a_job_whose_worker_called_nothing():
    assert why(record()) == "worker host:1:a has taken the job but made no call so far; see its log"


def test_a_run_that_does_not_end():
    run = {"seen": {"id": "run_1", "status": "queued"}, "started_at": BEGUN.timestamp()}
    assert why(record(run=run)) == "run run_1 was still queued after 30 s"


def test_a_call_without_a_reply():
    assert why(record(intent="create_thread")) == "the server has not replied to the call 'create_thread'"


def test_the_last_error_of_the_server_is_shown():
    errors = {"reason": "429: slow down", "count": 4, "first_at": BEGUN.timestamp()}
    expected = "failed calls in a row: 4, since 2026-11-28 12:00:00 UTC; last: 429: slow down"
    assert why(record(errors=errors)) == f"no run was under way; {expected}"


def test_a_job_that_has_failed_and_still_deletes_what_it_made():
    failure = {"kind": "overdue", "message": "the deadline passed while its run was queued"}
    found = why(record(outcome={"state": "failed", "failure": failure}))
    assert found.startswith("overdue: the deadline passed while its run was queued; its worker is still deleting")
