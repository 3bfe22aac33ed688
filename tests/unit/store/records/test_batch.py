"""The counters of a batch, as its hash holds them."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from threadmill.job.result import Failure, FailureKind, JobResult, JobState, ModelUsage, Timings, Usage, add_up
from threadmill.store.records.batch import BatchRecord

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def read(**fields: str) -> BatchRecord:
    return BatchRecord.read("b", NOW, fields)


def result(**fields) -> JobResult:
    return JobResult(
        **{"job_id": "1", "state": JobState.SUCCEEDED, "timings": Timings(created_at=NOW, finished_at=NOW), **fields}
    )


def test_a_hash_of_an_older_version_reads_well():
    batch = read(queued="2", running="0", failed="1")

    assert batch.jobs == {JobState.QUEUED: 2, JobState.RUNNING: 0, JobState.FAILED: 1}
    assert (batch.total, batch.usage, batch.usage_by_model, batch.calls) == (3, Usage(), (), 0)
    assert (batch.failures, batch.documents) == ({}, None)


def test_known_fields_of_a_newer_hash_are_read():
    newer = {"usage:cached_tokens::m": "4", "usage:total_tokens::m": "9", "failed:moonstruck": "1", "paused": "1"}
    batch = read(documents="7", **newer)

    assert (batch.usage_by_model, batch.failures) == (
        (ModelUsage(model="m", usage=Usage(total_tokens=9)),),
        {"moonstruck": 1},
    )
    assert batch.documents == 7


def test_failures_are_those_there_are_now_the_most_frequent_first():
    batch = read(**{"failed:stuck": "1", "failed:overdue": "3", "failed:expired": "0"})
    assert list(batch.failures.items()) == [(FailureKind.OVERDUE, 3), (FailureKind.STUCK, 1)]


def test_a_failure_is_counted_where_the_state_says_so():
    failure = Failure(kind=FailureKind.CANCELLED, message="")
    assert BatchRecord.counts(result(state=JobState.CANCELLED, failure=failure)) == {}
    assert BatchRecord.counts(result(state=JobState.FAILED, failure=failure)) == {"failed:cancelled": 1}


models = st.none() | st.text(min_size=1)
tokens = st.integers(0, 10**9)
usages = st.builds(Usage, prompt_tokens=tokens, completion_tokens=tokens, total_tokens=tokens)


@given(st.lists(st.builds(ModelUsage, model=models, lane=st.sampled_from([None, "batch"]), usage=usages)))
def test_what_is_counted_is_read_whatever_models_are_called(parts):
    fields: dict[str, int] = {}
    for part in parts:
        for field, number in BatchRecord.counts(result(model=part.model, lane=part.lane, usage=part.usage)).items():
            fields[field] = fields.get(field, 0) + number
    batch = read(**{field: str(number) for field, number in fields.items()})

    assert sorted(batch.usage_by_model, key=repr) == sorted(add_up(parts), key=repr)
