"""Counts for Prometheus. Only this module imports prometheus_client, which is an extra.

Counts are kept in plain dictionaries, which only the event loop changes. To count in objects of prometheus_client takes
more CPU, and a job counts about 25 times. A scrape, in another thread, copies the numbers.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from threadmill.job.result import JobResult
from threadmill.metrics.definitions import MOST_VALUES, OTHER, WORKER, Kind, Metric
from threadmill.settings.prices import Price, Prices
from threadmill_worker.monitoring.metrics import Metrics

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Times:
    """A histogram: how many values are in each bucket, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Returns the numbers of values up to each bound."""
        counts, so_far, found = list(self.counts), 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


class PrometheusMetrics(Metrics, Collector):
    """The metrics of one worker process. `prices`: for the cost of jobs."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counts: dict[str, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
        self._times: dict[str, dict[tuple[str, ...], _Times]] = defaultdict(dict)
        self._gauges: dict[str, dict[tuple[str, ...], Callable[[], float]]] = defaultdict(dict)
        self._known: dict[str, set[str]] = {}  #: the values of labels that servers choose
        self._priced: dict[str, Price | None] = {}
        self._registry.register(self)

    def page(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        for name, metric in WORKER.items():
            key = name.removeprefix("threadmill_")
            match metric.kind:
                case Kind.COUNTER:
                    yield self._counter(metric, dict(self._counts[key]))
                case Kind.GAUGE:
                    gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
                    for labels, read in dict(self._gauges[key]).items():
                        gauge.add_metric(labels, read())
                    yield gauge
                case Kind.HISTOGRAM:
                    histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
                    for labels, times in dict(self._times[key]).items():
                        histogram.add_metric(labels, times.buckets(), times.sum)
                    yield histogram

    def _counter(self, metric: Metric, counts: dict[tuple[str, ...], float]) -> Family:
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        if not metric.labels:
            counts.setdefault((), 0.0)
        for labels, count in counts.items():
            family.add_metric(labels, count)
        return family

    def observe(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """Makes a gauge, by its name without the prefix, show what `read` returns at each scrape."""
        self._gauges[name][labels] = read

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
            if (price := self._price(model)) is not None:
                spent = price.of(part.usage) * self._prices.factor(part.lane, price)
                self._count("cost", endpoint, self._prices.currency, by=spent)

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
        self._counts[f"{name}_total"][labels] += by

    def _time(self, name: str, seconds: float, *labels: str) -> None:
        name = f"{name}_seconds"
        times = self._times[name].get(labels)
        if times is None:
            times = self._times[name][labels] = _Times(WORKER[f"threadmill_{name}"].bounds)
        times.add(max(0.0, seconds))

    def _price(self, model: str) -> Price | None:
        """Returns the price of a model, which takes long to find; the label has few values."""
        if model not in self._priced:
            self._priced[model] = self._prices.of(model)
        return self._priced[model]

    def _bounded(self, label: str, value: str) -> str:
        """Returns the value, or OTHER if the label has very many."""
        known = self._known.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= MOST_VALUES:
            return OTHER
        known.add(value)
        return value
