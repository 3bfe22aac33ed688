"""The status of a batch, and the counts of its requests."""

from datetime import UTC, datetime

import pytest

from threadmill.job.file_batch import FileBatch, FileBatchPhase, FileBatchState, KeptFileBatch
from threadmill.store.records.batch import BatchRecord
from threadmill_gateway.openai.batches.object import (
    ERRORS,
    OUTPUT,
    batch_object,
    batch_of_file,
    output_file_of,
    status_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def jobs(**fields):
    return BatchRecord.read("b", NOW, {name.replace("__", ":"): str(number) for name, number in fields.items()})


@pytest.mark.parametrize(
    ("phase", "cancelled", "counters", "status"),
    [
        ("validating", False, None, "validating"),
        ("validating", True, None, "cancelling"),
        ("failed", False, None, "failed"),
        ("failed", True, None, "failed"),
        ("enqueueing", False, jobs(queued=3), "in_progress"),
        ("enqueueing", False, jobs(succeeded=3), "in_progress"),
        ("enqueueing", True, jobs(queued=3), "cancelling"),
        ("enqueued", False, jobs(running=1, succeeded=2), "in_progress"),
        ("enqueued", False, jobs(succeeded=3), "completed"),
        ("enqueued", False, jobs(succeeded=2, failed=1, failed__rejected=1), "completed"),
        ("enqueued", False, jobs(succeeded=2, failed=1, failed__overdue=1), "expired"),
        ("enqueued", True, jobs(succeeded=3), "cancelling"),
        ("stopped", True, jobs(running=1), "cancelling"),
        ("stopped", True, jobs(cancelled=3), "cancelled"),
        ("stopped", True, None, "cancelled"),
    ],
)
def test_the_status(phase, cancelled, counters, status):
    state = FileBatchState(phase=FileBatchPhase(phase), cancelling_at=NOW if cancelled else None)
    assert status_of(state, counters) == status


def test_a_part_of_an_answer_counts_as_an_answer():
    made = FileBatch(
        id="batch_1",
        owner=None,
        batch="batch_1",
        route="/v1/responses",
        upload_id="file-tm-1",
        completion_window="24h",
        created_at=NOW,
        deadline_at=NOW,
    )
    state = FileBatchState(phase=FileBatchPhase.ENQUEUED, total=6)
    counters = jobs(succeeded=2, failed=3, cancelled=1, failed__incomplete=1, failed__rejected=2)
    shown = batch_object(KeptFileBatch(made, state), counters)
    assert shown["request_counts"] == {"total": 6, "completed": 3, "failed": 3}
    assert shown["output_file_id"] == output_file_of("batch_1", OUTPUT)
    assert shown["error_file_id"] == output_file_of("batch_1", ERRORS)


def test_the_id_of_a_file_names_its_batch():
    for kind in (OUTPUT, ERRORS):
        assert batch_of_file(output_file_of("batch_1", kind)) == ("batch_1", kind)
    assert batch_of_file("file-tm-1") is None
