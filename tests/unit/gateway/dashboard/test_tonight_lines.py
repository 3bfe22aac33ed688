"""What the first page makes of what it has read."""

from datetime import UTC, datetime, timedelta

import pytest

from threadmill.job.result import JobState, ModelUsage, Usage
from threadmill.settings.prices import Prices
from threadmill.store.fleet.overview import Overview
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.stats import HourStats
from threadmill.store.records.worker import FailingEndpoint, Worker
from threadmill_gateway.dashboard.tonight.lines import alerts, batch_lines, pool_lines, spent

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
PRICES = Prices.model_validate({"small": {"prompt": 1.0, "completion": 2.0}})
MILLION = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000, total_tokens=2_000_000)
QUIET = Overview(
    read_at=NOW,
    jobs={},
    delayed=0,
    leftovers=0,
    leftovers_given_up=0,
    callbacks_pending=0,
    callbacks_dead=0,
    dead_letters=0,
)


def batch(name="night", documents=None, paused=False, **jobs):
    return BatchRecord(
        name=name,
        changed_at=NOW,
        jobs={JobState(state): number for state, number in jobs.items()},
        documents=documents,
        paused=paused,
        usage_by_model=(ModelUsage(model="small", usage=MILLION),),
    )


def worker(**fields):
    return Worker(name="ada", seen_at=NOW, concurrency=10, jobs=1, **{"endpoints": ("davinci",), **fields})


def pool(name="davinci", **fields):
    endpoint, _, model = name.partition("/")
    return PoolRecord(name=name, endpoint=endpoint, model=model or None, read_at=NOW, **fields)


def test_a_batch_has_a_rate_an_end_and_a_cost():
    [line] = batch_lines([batch(queued=50, running=10, succeeded=40)], {"night": 0.5}, PRICES)
    assert (line.batch.ended, line.batch.expected, line.per_minute, line.left_s) == (40, 100, 30, 120)
    assert (line.cost.amount, line.cost.currency) == (3, "USD")


def test_documents_that_are_not_enqueued_yet_are_left():
    [line] = batch_lines([batch(queued=50, succeeded=50, documents=200)], {"night": 1.0}, PRICES)
    assert (line.batch.expected, line.left_s) == (200, 150)


@pytest.mark.parametrize(("record", "rates"), [(batch(queued=1), {}), (batch(queued=1, paused=True), {"night": 1.0})])
def test_the_end_of_a_batch_that_does_not_move_is_not_known(record, rates):
    [line] = batch_lines([record], rates, PRICES)
    assert (line.per_minute, line.left_s) == (None, None)


def test_a_batch_without_open_jobs_is_not_under_way():
    assert batch_lines([batch(succeeded=5)], {}, PRICES) == []


def test_what_was_spent_is_the_sum_of_the_hours():
    hours = [HourStats(start=NOW, usage_by_model=(ModelUsage(model="small", usage=MILLION),))] * 2
    total = spent(hours, PRICES)
    assert (total.usage.total_tokens, total.cost.amount) == (4_000_000, 6)
    assert spent([], PRICES).cost.amount == 0


def test_an_endpoint_is_served_by_workers_that_have_its_key():
    lines = pool_lines([pool("davinci/small"), pool("other"), pool("davinci")], [worker()])
    assert [(line.pool.name, line.is_first, line.is_served) for line in lines] == [
        ("davinci", True, True),
        ("davinci/small", False, True),
        ("other", True, False),
    ]


def test_nothing_needs_attention_in_a_quiet_night():
    assert not alerts(QUIET, [worker()], [pool()])
    assert not alerts(QUIET, [], [pool()])


FAILING = FailingEndpoint(endpoint="davinci", reason="502", since=NOW)


@pytest.mark.parametrize(
    ("field", "overview", "workers", "pools"),
    [
        ("no_worker", QUIET.model_copy(update={"jobs": {JobState.QUEUED: 3}}), [], []),
        ("unserved", QUIET, [worker(endpoints=())], [pool(waiting=2)]),
        ("deaf", QUIET, [worker(is_consuming=False)], []),
        ("outdated", QUIET, [worker(left_alone=2)], []),
        ("skewed", QUIET, [worker(clock_skew_s=-9.0)], []),
        ("failing", QUIET, [worker(failing_endpoints=(FAILING,))], []),
        ("held_back", QUIET, [worker()], [pool(paused="")]),
        ("held_back", QUIET, [worker()], [pool(shut_until=NOW + timedelta(minutes=1))]),
        ("leftovers", QUIET.model_copy(update={"leftovers_given_up": 1}), [], []),
        ("callbacks", QUIET.model_copy(update={"callbacks_dead": 1}), [], []),
        ("dead_letters", QUIET.model_copy(update={"dead_letters": 1}), [], []),
    ],
)
def test_what_needs_attention(field, overview, workers, pools):
    found = alerts(overview, workers, pools)
    assert found
    assert getattr(found, field)


@pytest.mark.parametrize("consuming", [True, None])
def test_a_worker_that_may_hear_is_not_deaf(consuming):
    assert not alerts(QUIET, [worker(is_consuming=consuming)], [])
