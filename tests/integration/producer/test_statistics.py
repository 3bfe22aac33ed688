"""Statistics of jobs that ended, and the lists of those that failed."""

from datetime import timedelta

import pytest

from threadmill import Client, FailureKind, JobState
from threadmill.errors import BatchNotFound, InvalidCursor
from threadmill.job.result import Failure, JobResult, Timings, Usage
from threadmill.store import requests
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def end(client: Client, settings):
    """Ends queued jobs, as a worker does."""

    def end_all(handles, failure: FailureKind | None = None, seconds: float = 3, tokens: int = 120) -> list[str]:
        state, now = JobState.FAILED if failure else JobState.SUCCEEDED, client.store.now()
        for handle in handles:
            result = JobResult(
                job_id=handle.id,
                state=state,
                failure=Failure(kind=failure, message="no") if failure else None,
                timings=Timings(created_at=now, started_at=now - timedelta(seconds=seconds), finished_at=now),
                model="m",
                usage=Usage(prompt_tokens=tokens - 20, completion_tokens=20, total_tokens=tokens),
                endpoint="emulator",
            )
            [outcome] = client.store._run("jobs/finish", **requests.finish(None, result, "client", settings))
            assert outcome == "finished"
        return [handle.id for handle in handles]

    return end_all


def enqueue(client: Client, number: int, **fields):
    return client.enqueue_many([{"prompt": f"{n}", **fields} for n in range(number)])


def listed(client: Client, **arguments):
    return [record.id for record in client.job_page(**arguments).jobs]


def test_the_hours_tell_what_ended(client: Client, end):
    end(enqueue(client, 3))
    end(enqueue(client, 2), FailureKind.QUOTA)
    [cancelled] = enqueue(client, 1)
    cancelled.cancel()
    hours = client.stats(2)
    assert len(hours) == 2
    assert hours[1].start - hours[0].start == HOUR
    jobs = [hour.jobs for hour in hours if hour.jobs]  # in two hours if one begins during the test
    assert sum(sum(each.values()) for each in jobs) == 6
    assert {state for each in jobs for state in each} == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    assert sum(hour.failures.get(FailureKind.QUOTA, 0) for hour in hours) == 2
    assert sum(part.usage.total_tokens for hour in hours for part in hour.usage_by_model) == 5 * 120


def test_at_most_fourteen_days_are_known(client: Client):
    assert len(client.stats(10_000)) == 14 * 24
    with pytest.raises(ValueError, match="`hours` is 0: give 1 or more"):
        client.stats(0)


def test_the_statistics_of_an_hour_expire(client: Client, store, keys, end):
    end(enqueue(client, 2))
    for hour in client.stats(2):
        key = keys.stats(int(hour.start.timestamp() // 3600))
        assert not store.exists(key) or 13 * 86_400 < store.ttl(key) <= 14 * 86_400


def test_a_batch_tells_when_its_jobs_ended_and_how_long_they_took(client: Client, end):
    end(enqueue(client, 3, batch="b"), seconds=3)
    end(enqueue(client, 1, batch="b"), FailureKind.STUCK, seconds=100, tokens=5000)
    enqueue(client, 1, batch="b")[0].cancel()
    stats = client.batch_stats("b")
    assert {period.length_s for period in stats.periods} == {60}
    assert sum(sum(period.jobs.values()) for period in stats.periods) == 5
    assert [(bucket.to, bucket.jobs) for bucket in stats.durations if bucket.jobs] == [(5, 3), (120, 1)]
    assert [(bucket.to, bucket.jobs) for bucket in stats.tokens if bucket.jobs] == [(200, 3), (5000, 1)]
    rates = client.batch_rates(["b", "other"])
    assert list(rates) == ["b"]
    assert 0 < rates["b"] <= 5
    with pytest.raises(BatchNotFound):
        client.batch_stats("other")


@pytest.mark.parametrize(
    ("hours_ago", "length_s"), [(0, 60), (5, 60), (7, 600), (71, 600), (73, 3600), (1439, 3600), (1441, 86_400)]
)
def test_a_batch_that_lasts_long_is_counted_in_longer_periods(client: Client, store, keys, end, hours_ago, length_s):
    handles = enqueue(client, 2, batch="b")
    store.hset(keys.batch_stats("b"), "since", client.store.now().timestamp() - hours_ago * 3600)
    end(handles[:1])
    [period] = client.batch_stats("b").periods
    assert period.length_s == length_s
    assert period.start <= client.store.now() < period.start + timedelta(seconds=length_s + 60)
    assert list(client.batch_rates(["b"])) == ["b"]


def test_the_statistics_of_a_batch_are_kept_as_long_as_the_batch(client: Client, settings, store, keys, end):
    handles = enqueue(client, 2, batch="b")
    mine = (keys.batch("b"), keys.batch_stats("b"), keys.batch_failed("b"))
    end(handles[:1], FailureKind.QUOTA)
    assert {store.ttl(key) for key in mine} == {-1}
    end(handles[1:])
    assert all(0 < store.ttl(key) <= settings.failed_ttl_s for key in mine)
    client.redrive(handles[0].id)
    assert {store.ttl(key) for key in (mine[0], mine[1])} == {-1}


def test_a_damaged_hash_does_not_prevent_the_end_of_a_job(client: Client, store, keys, end):
    handles = enqueue(client, 1, batch="b")
    store.set(keys.batch_stats("b"), "?")
    hour = int(client.store.now().timestamp() // 3600)
    for number in (hour, hour + 1):
        store.set(keys.stats(number), "?")
    end(handles)
    assert handles[0].get().state is JobState.SUCCEEDED
    assert [hour.jobs for hour in client.stats(1)] == [{}]
    assert client.batch_rates(["b"]) == {}


def test_failed_jobs_are_listed_by_kind_without_reading_others(client: Client, end, monkeypatch):
    quota = end(enqueue(client, 2, tenant="shop"), FailureKind.QUOTA)
    stuck = end(enqueue(client, 1), FailureKind.STUCK)
    end(enqueue(client, 30))
    read = []
    hashes = client.store._hashes
    monkeypatch.setattr(client.store, "_hashes", lambda some: read.append(len(some)) or hashes(some))
    assert listed(client, failure=FailureKind.QUOTA) == quota[::-1]
    assert listed(client, failure=FailureKind.QUOTA, state=JobState.FAILED, tenant="shop") == quota[::-1]
    assert listed(client, failure=FailureKind.STUCK) == stuck
    assert listed(client, failure=FailureKind.QUOTA, state=JobState.SUCCEEDED, since=client.store.now()) == []
    assert [record.id for record in client.jobs(failure=FailureKind.STUCK)] == stuck
    assert sum(read) == 6


def test_failed_jobs_of_a_batch_are_listed_without_reading_others(client: Client, end, monkeypatch):
    found = end(enqueue(client, 3, batch="b"), FailureKind.QUOTA)
    other = end(enqueue(client, 1, batch="b"), FailureKind.STUCK)
    end(enqueue(client, 5), FailureKind.QUOTA)
    end(enqueue(client, 30, batch="b"))
    read = []
    hashes = client.store._hashes
    monkeypatch.setattr(client.store, "_hashes", lambda some: read.append(len(some)) or hashes(some))
    first = client.job_page(batch="b", failure=FailureKind.QUOTA, limit=2)
    second = client.job_page(batch="b", failure=FailureKind.QUOTA, limit=2, cursor=first.next_cursor)
    assert [record.id for page in (first, second) for record in page.jobs] == found[::-1]
    assert listed(client, batch="b", failure=FailureKind.STUCK) == other
    assert sum(read) <= 12
    with pytest.raises(BatchNotFound):
        client.job_page(batch="c", failure=FailureKind.QUOTA)
    with pytest.raises(InvalidCursor):
        client.job_page(batch="b", cursor=first.next_cursor)


def test_a_job_that_is_redriven_or_deleted_leaves_the_lists(client: Client, store, keys, end):
    since = client.store.now() - HOUR
    ids = end(enqueue(client, 3, batch="b"), FailureKind.QUOTA)
    assert client.failure_counts(since) == {FailureKind.QUOTA: 3}
    assert client.failure_counts(client.store.now() + HOUR) == {}
    client.redrive(ids[0])
    client.delete(ids[1])
    assert client.failure_counts(since) == {FailureKind.QUOTA: 1}
    assert store.zrange(keys.batch_failed("b"), 0, -1) == [ids[2]]
    assert listed(client, failure=FailureKind.QUOTA) == [ids[2]]
    end([client.enqueue({"prompt": "more"})], FailureKind.STUCK)
    assert client.failure_counts(since) == {FailureKind.QUOTA: 1, FailureKind.STUCK: 1}


def test_jobs_that_are_no_longer_kept_leave_the_list(client: Client, settings, store, keys, end):
    [old] = end(enqueue(client, 1), FailureKind.QUOTA)
    store.zincrby(keys.failed_jobs("quota"), -settings.failed_ttl_s - 1, old)
    [new] = end(enqueue(client, 1), FailureKind.QUOTA)
    assert store.zrange(keys.failed_jobs("quota"), 0, -1) == [new]
    assert 0 < store.ttl(keys.failed_jobs("quota")) <= settings.failed_ttl_s


def test_a_page_reads_as_many_jobs_as_it_may(client: Client, end):
    ids = [handle.id for handle in enqueue(client, 10, tenant="t")][::-1]
    wanted = client.enqueue({"prompt": "this", "tenant": "t", "metadata": {"order": "1"}})
    enqueue(client, 5, tenant="t")
    first = client.job_page(tenant="t", metadata={"order": "1"}, most_read=3)
    assert (first.jobs, first.next_cursor is None) == ([], False)
    second = client.job_page(tenant="t", metadata={"order": "1"}, most_read=3, cursor=first.next_cursor)
    assert [record.id for record in second.jobs] == [wanted.id]
    assert [record.id for record in client.job_page(tenant="t", most_read=15, limit=50).jobs][-9:] == ids[:9]
    with pytest.raises(ValueError, match="`most_read` is 0: give 1 or more"):
        client.job_page(most_read=0)


def test_batches_are_listed_by_pages(client: Client):
    names = [f"night-{number}" for number in range(5)]
    for name in names:
        client.enqueue({"prompt": "?", "batch": name})
    first = client.batch_page(limit=2)
    second = client.batch_page(limit=2, cursor=first.next_cursor)
    third = client.batch_page(limit=2, cursor=second.next_cursor)
    found = [batch.name for page in (first, second, third) for batch in page.batches]
    assert (found, third.next_cursor) == (names[::-1], None)
    assert first.batches[0] == client.batch("night-4")
    assert [batch.name for batch in client.batch_page(search="NIGHT-3").batches] == ["night-3"]
    assert client.batch_page(search="day") == ([], None)
    with pytest.raises(InvalidCursor):
        client.batch_page(cursor="Zm9v")
    with pytest.raises(ValueError, match="`limit` is 0"):
        client.batch_page(limit=0)
