"""What a worker counts."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from threadmill.job.result import Failure, FailureKind, JobResult, JobState, Timings, Usage
from threadmill.metrics.definitions import MOST_VALUES, OTHER, WORKER
from threadmill.settings.prices import Prices
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.monitoring.prometheus import PrometheusMetrics

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
PRICES = Prices.model_validate({"currency": "EUR", "m": {"prompt": 1.0, "completion": 2.0}})


def result(state=JobState.SUCCEEDED, **fields):
    times = Timings(created_at=CREATED, finished_at=CREATED + timedelta(seconds=12), limited_s=3)
    return JobResult(job_id="j", state=state, endpoint="davinci", timings=times, **fields)


def samples(metrics):
    """The value of each sample, by its name and the values of its labels in the order of the table."""
    found = {}
    for family in text_string_to_metric_families(metrics.page().decode()):
        table = WORKER.get(family.name) or WORKER.get(f"{family.name}_total")
        for sample in family.samples if table else ():
            values = [sample.labels[label] for label in table.labels]
            found[sample.name, *values, *sample.labels.get("le", ())] = sample.value
    return found


def test_an_ended_job():
    metrics = PrometheusMetrics(PRICES)
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, total_tokens=1_500_000)
    metrics.job_ended(result(model="m", usage=usage))
    metrics.job_ended(result(JobState.FAILED, failure=Failure(kind=FailureKind.OVERDUE, message="late")))
    seen = samples(metrics)
    assert seen["threadmill_jobs_ended_total", "davinci", "succeeded", ""] == 1
    assert seen["threadmill_jobs_ended_total", "davinci", "failed", "overdue"] == 1
    assert seen["threadmill_time_to_result_seconds_sum", "davinci"] == 24
    assert seen["threadmill_limit_wait_seconds_total", "davinci"] == 6
    assert seen["threadmill_tokens_total", "davinci", "m", "prompt"] == 1_000_000
    assert seen["threadmill_tokens_total", "davinci", "m", "completion"] == 500_000
    assert seen["threadmill_cost_total", "davinci", "EUR"] == 2.0


def test_names_that_servers_invent_are_bounded():
    metrics = PrometheusMetrics(Prices())
    for number in range(2 * MOST_VALUES):
        metrics.tool_called(f"tool{number}", "ok")
    tools = [key[1] for key in samples(metrics) if key[0] == "threadmill_tool_calls_total"]
    assert len(tools) == MOST_VALUES + 1
    assert samples(metrics)["threadmill_tool_calls_total", OTHER, "ok"] == MOST_VALUES


def test_a_gauge_shows_what_is_true_at_the_scrape():
    metrics, now = PrometheusMetrics(Prices()), [1.0]
    metrics.observe("slots", lambda: now[0], "busy")
    now[0] = 7.0
    assert samples(metrics)["threadmill_slots", "busy"] == 7


@pytest.mark.parametrize("metrics", [UNCOUNTED, PrometheusMetrics(PRICES)], ids=["none", "prometheus"])
def test_everything_can_be_counted(metrics: Metrics):
    metrics.job_claimed()
    metrics.job_ended(result())
    metrics.job_handed_back()
    metrics.lease_lost()
    metrics.job_rescued()
    metrics.run_ended("davinci", 3.0)
    metrics.result_stored("davinci", -0.1)
    metrics.called("davinci", "429", 0.1)
    metrics.start_refused("davinci")
    metrics.tool_called("t", "ok")
    metrics.callback_sent("dead")


def test_every_metric_of_the_table_exists():
    families = text_string_to_metric_families(PrometheusMetrics(Prices()).page().decode())
    assert {name.removesuffix("_total") for name in WORKER} <= {family.name for family in families}
