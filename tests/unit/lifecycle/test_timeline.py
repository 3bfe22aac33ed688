"""What the timeline says about single steps."""

from dataclasses import replace

import pytest

from threadmill.job.progress import CallErrors, Limit
from threadmill.job.result import Artifact, Failure, FailureKind, JobState
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.lifecycle.progress import Answer, CurrentRun, Leftover, Outcome, Progress, VectorStore
from threadmill_worker.lifecycle.timeline import happened

JOB = Progress(deadline_at=3600.0, messages=1)
RUN = CurrentRun(RunObservation("run_1", "queued"), started_at=1.0, active_since=1.0)
STARTED = replace(JOB, thread_id="thread_1", run=RUN, runs=1)


def seen(status: str, run_id: str = "run_1", **more: str) -> CurrentRun:
    return replace(RUN, seen=RunObservation(run_id, status, **more))


def said(before: Progress, **changes: object) -> list[tuple[str, str]]:
    return [(kind.value, detail) for kind, detail in happened(before, replace(before, **changes))]


def test_a_step_that_changes_nothing_says_nothing() -> None:
    assert said(STARTED) == []
    assert said(STARTED, poll_at=7.0, run=seen("queued")) == []


@pytest.mark.parametrize(
    ("before", "changes", "entries"),
    [
        (JOB, {"thread_id": "thread_1"}, [("thread", "thread_1")]),
        (JOB, {"uploaded": ("file_1", "file_2")}, [("files", "uploaded file_1"), ("files", "uploaded file_2")]),
        (JOB, {"store": VectorStore("vs_1", 1.0)}, [("files", "vector store vs_1")]),
        (
            replace(JOB, store=VectorStore("vs_1", 1.0)),
            {"store": VectorStore("vs_1", 1.0, ready=True)},
            [("files", "vector store ready")],
        ),
        (
            JOB,
            {"thread_id": "thread_1", "run": RUN, "runs": 1},
            [("thread", "thread_1"), ("run created", "run_1: queued")],
        ),
        (STARTED, {"run": seen("in_progress")}, [("run changed", "in_progress")]),
        (
            STARTED,
            {"run": seen("failed", error_code="server_error", error_message="Sorry.")},
            [("run changed", "failed: server_error Sorry.")],
        ),
        (STARTED, {"run": replace(seen("queued", "resp_2"), rounds=1)}, [("run changed", "round 2: queued")]),
        (STARTED, {"run": replace(RUN, cancel_requested_at=9.0)}, [("run cancelled", "run_1")]),
        (STARTED, {"run": None, "reruns": 1, "rerun_reason": "expired"}, [("rerun", "expired")]),
        (JOB, {"errors": CallErrors(1, "HTTP 500")}, [("call failed", "HTTP 500")]),
        (JOB, {"errors": CallErrors(1, "429"), "limited": Limit("429", 9.0)}, [("limited", "429")]),
        (STARTED, {"answer": Answer(())}, [("answer", "")]),
        (
            replace(STARTED, answer=Answer(())),
            {"answer": Answer((), artifacts={"file_1": Artifact(file_id="file_1", name="plan.csv")})},
            [("files", "downloaded plan.csv")],
        ),
        (
            STARTED,
            {"outcome": Outcome(JobState.FAILED, failure=Failure(kind=FailureKind.STUCK, message="no end"))},
            [("failed", "stuck: no end")],
        ),
        (STARTED, {"outcome": Outcome(JobState.SUCCEEDED)}, []),
        (replace(STARTED, leftovers=(Leftover("thread", "t"),)), {"leftovers": ()}, [("deleted", "thread t")]),
        (replace(STARTED, leftovers=(Leftover("thread", "t"),)), {"leftovers": (Leftover("thread", "t", 1),)}, []),
    ],
)
def test_a_step_says_what_changed(before: Progress, changes: dict[str, object], entries: list[tuple[str, str]]) -> None:
    assert said(before, **changes) == entries
