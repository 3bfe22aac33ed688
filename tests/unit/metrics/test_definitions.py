"""The names of metrics follow Prometheus' conventions, and docs/metrics.md has each of them."""

import re
from pathlib import Path

import pytest

from threadmill.metrics.definitions import FLEET, WORKER, Kind, Metric

METRICS = [*FLEET.values(), *WORKER.values()]
PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names(metric: Metric) -> None:
    assert re.fullmatch(r"threadmill_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.bounds) == sorted(metric.bounds)
    if metric.kind is Kind.HISTOGRAM:
        assert metric.name.endswith("_seconds")


def test_no_name_twice() -> None:
    assert not FLEET.keys() & WORKER.keys()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_documented(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |" in PAGE
