"""Counts for Prometheus. Only this module imports prometheus_client, which is an extra.

The children of a metric, one for each set of label values, are kept here: to look one up in prometheus_client costs
more than to count.
"""

from collections.abc import Callable
from typing import TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from threadmill.job.result import JobResult
from threadmill.metrics.definitions import MOST_VALUES, OTHER, WORKER, Kind
from threadmill.settings.prices import Prices, cost
from threadmill_worker.monitoring.metrics import Metrics

CONTENT_TYPE = CONTENT_TYPE_LATEST

_T = TypeVar("_T")


class PrometheusMetrics(Metrics):
    """The metrics of one worker process. `prices`: for the cost of jobs."""

    def __init__(self, prices: Prices) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series
        self._prices = prices
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._metrics = {name: _made(name, self._registry) for name in WORKER}
        self._children: dict[tuple[str, ...], object] = {}
        self._known: dict[str, set[str]] = {}  #: the values of labels that servers choose

    def page(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def observe(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """Makes a gauge, by its name without the prefix, show what `read` returns at each scrape."""
        self._child(f"threadmill_{name}", labels, Gauge).set_function(read)

    def job_claimed(self) -> None:
        self._count("claims")

    def job_ended(self, result: JobResult) -> None:
        endpoint, times = result.endpoint or "", result.timings
        failure = self._bounded("failure", result.failure.kind) if result.failure else ""
        self._count("jobs_ended", endpoint, result.state, failure)
        self._time("time_to_result", (times.finished_at - times.created_at).total_seconds(), endpoint)
        if times.limited_s > 0:
            self._count("limit_wait_seconds", endpoint, by=times.limited_s)
        for part in result.usage_by_model:
            model = self._bounded("model", part.model or "")
            self._count("tokens", endpoint, model, "prompt", by=max(0, part.usage.prompt_tokens))
            self._count("tokens", endpoint, model, "completion", by=max(0, part.usage.completion_tokens))
        spent = cost(result.usage_by_model, self._prices)
        if spent.amount:
            self._count("cost", endpoint, spent.currency, by=spent.amount)

    def job_handed_back(self) -> None:
        self._count("jobs_handed_back")

    def lease_lost(self) -> None:
        self._count("leases_lost")

    def job_rescued(self) -> None:
        self._count("rescues")

    def run_ended(self, endpoint: str, took_s: float) -> None:
        self._time("run_duration", took_s, endpoint)

    def result_stored(self, endpoint: str, lag_s: float) -> None:
        self._time("result_lag", lag_s, endpoint)

    def called(self, endpoint: str, status: str, took_s: float) -> None:
        self._count("http_requests", endpoint, status)
        self._time("http_request_duration", took_s, endpoint)

    def start_refused(self, endpoint: str) -> None:
        self._count("rate_limited", endpoint)

    def tool_called(self, tool: str, outcome: str) -> None:
        self._count("tool_calls", self._bounded("tool", tool), outcome)

    def callback_sent(self, outcome: str) -> None:
        self._count("callbacks", outcome)

    def _count(self, name: str, *labels: str, by: float = 1) -> None:
        self._child(f"threadmill_{name}_total", labels, Counter).inc(by)

    def _time(self, name: str, seconds: float, *labels: str) -> None:
        self._child(f"threadmill_{name}_seconds", labels, Histogram).observe(max(0.0, seconds))

    def _child(self, name: str, labels: tuple[str, ...], kind: type[_T]) -> _T:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            child = self._children[key] = metric.labels(*labels) if labels else metric
        assert isinstance(child, kind)
        return child

    def _bounded(self, label: str, value: str) -> str:
        """Returns the value, or OTHER if the label has very many."""
        known = self._known.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= MOST_VALUES:
            return OTHER
        known.add(value)
        return value


def _made(name: str, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    metric = WORKER[name]
    if metric.kind is Kind.HISTOGRAM:
        return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.bounds)
    kind = Counter if metric.kind is Kind.COUNTER else Gauge
    return kind(name, metric.help, metric.labels, registry=registry)
