"""`/metrics`: the fleet in Prometheus' text format. docs/metrics.md explains the numbers."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from threadmill.errors import StoreUnavailable
from threadmill.job.result import JobState
from threadmill.metrics.definitions import FLEET, Kind
from threadmill.store.fleet.metrics import Fleet
from threadmill_gateway.requests.callers import Operator
from threadmill_gateway.requests.state import Served

router = APIRouter(tags=["health"])

#: The values of a metric, by those of its labels.
_Values = Mapping[tuple[str, ...], float]


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "The metrics of the fleet.", "content": {"text/plain": {}}}},
)
async def metrics(gateway: Served, _: Operator) -> Response:
    """Show the numbers of the fleet to Prometheus. Needs the scope `operate`."""
    try:
        values = values_of(await gateway.client.fleet(), gateway.settings.endpoints)
    except StoreUnavailable:
        values = {"redis_up": {(): 0}}
    return Response(page(values), media_type=CONTENT_TYPE_LATEST)


def values_of(fleet: Fleet, endpoints: Iterable[str]) -> dict[str, _Values]:
    """Returns the values of all metrics of the fleet, by their names without the prefix. PURE."""
    overview = fleet.overview
    single = {
        "redis_up": 1,
        "jobs_created_total": fleet.created,
        "jobs_queued": overview.jobs.get(JobState.QUEUED, 0),
        "jobs_running": overview.jobs.get(JobState.RUNNING, 0),
        "queue_messages": fleet.messages,
        "workers": fleet.workers,
        "workers_deaf": fleet.deaf_workers,
        "worker_slots": fleet.slots,
        "batches_open": fleet.open_batches,
        "leftovers": overview.leftovers,
        "callbacks_pending": overview.callbacks_pending,
        "callbacks_dead": overview.callbacks_dead,
        "dead_letters": overview.dead_letters,
    }
    names = sorted({*endpoints, *fleet.paused})
    return {
        **{name: {(): value} for name, value in single.items()},
        "queue_jobs": {(priority,): ready.jobs for priority, ready in fleet.ready.items()},
        "queue_oldest_age_seconds": {(priority,): ready.oldest_age_s for priority, ready in fleet.ready.items()},
        "endpoint_paused": {(name,): float(name in fleet.paused) for name in names},
    }


def page(values: Mapping[str, _Values]) -> bytes:
    """Returns metrics of the fleet in Prometheus' text format. PURE."""
    return generate_latest(_Collected(values))


class _Collected(Collector):
    """What prometheus_client calls a registry, as far as `generate_latest` needs one."""

    def __init__(self, values: Mapping[str, _Values]) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for name, values in self._values.items():
            metric = FLEET[f"threadmill_{name}"]
            kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
