"""Every metric: its name, meaning and labels. docs/metrics.md has the same table.

Dashboards and alerts depend on the names: a change of one is a change of the interface.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

#: Models, tools and kinds of failure beyond this number have the label OTHER: a server may invent any number of names.
MOST_VALUES = 100
OTHER = "other"

#: Upper bounds of histograms, in seconds.
_OF_CALLS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_OF_RUNS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_OF_RESULTS = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
_OF_LAGS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One metric. `bounds`: the upper bounds of a histogram's buckets."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"threadmill_{name}_total", Kind.COUNTER, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"threadmill_{name}", Kind.GAUGE, help, labels)


def _histogram(name: str, help: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return Metric(f"threadmill_{name}_seconds", Kind.HISTOGRAM, help, labels, bounds)


def _by_name(*metrics: Metric) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


#: Of all workers together, read from Redis. The gateway serves them.
FLEET = _by_name(
    _gauge("redis_up", "Whether Redis answers: 1 or 0. With 0, the other metrics of the fleet are missing."),
    _counter("jobs_created", "Jobs enqueued, by all producers."),
    _gauge("jobs_queued", "Queued jobs: those that are ready, and those that wait for a time or their turn."),
    _gauge("jobs_running", "Jobs that a worker runs."),
    _gauge("queue_jobs", "Ready jobs: they wait only for a free slot, or for a limit.", "priority"),
    _gauge("queue_oldest_age_seconds", "How long the oldest ready job has been ready; 0: none is.", "priority"),
    _gauge("queue_messages", "Messages on Celery's queue that no worker has taken."),
    _gauge("workers", "Workers that announced themselves within the last seconds."),
    _gauge("workers_deaf", "Those of them whose consumer takes no messages."),
    _gauge("worker_slots", "Jobs that these workers can run at a time."),
    _gauge("batches_open", "Batches with jobs that have not ended."),
    _gauge("endpoint_paused", "Whether an operator paused the endpoint: 1 or 0.", "endpoint"),
    _gauge("leftovers", "Remote objects that have yet to be deleted."),
    _gauge("callbacks_pending", "Callbacks that have yet to be delivered."),
    _gauge("callbacks_dead", "Callbacks that were given up and are kept."),
    _gauge("dead_letters", "Messages that could not be delivered, since the list was last cleared."),
)

#: Of one worker process.
WORKER = _by_name(
    _gauge("worker_info", "1; the labels say which worker this is.", "version", "worker"),
    _gauge("consumer_up", "Whether Celery's consumer takes messages: 1 or 0; NaN while that is not known."),
    _gauge("slots", "Slots of the worker, by whether a job runs in them.", "state"),
    _gauge("event_loop_lag_seconds", "The latest that the event loop resumed a task within the last 15 s."),
    _counter("claims", "Jobs claimed, those of handed-back and rescued jobs too."),
    _counter(
        "jobs_ended",
        "Jobs ended by this worker; `failure` is '' for those that succeeded.",
        "endpoint",
        "state",
        "failure",
    ),
    _counter("jobs_handed_back", "Jobs returned to the queue, because the worker was stopped."),
    _counter("leases_lost", "Jobs that another worker has claimed or ended while this one ran them."),
    _counter("rescues", "Jobs of dead workers that this worker has returned to the queue."),
    _histogram("time_to_result", "From the creation of a job to its result.", _OF_RESULTS, "endpoint"),
    _histogram(
        "run_duration", "How long the server took for a run, as it says or as polls saw it.", _OF_RUNS, "endpoint"
    ),
    _histogram(
        "result_lag", "From the end of a job's last run, as it was seen, to the job's result.", _OF_LAGS, "endpoint"
    ),
    _counter(
        "http_requests",
        "Calls to servers; `status`: 2xx, the status of an error, timeout, connection or cancelled.",
        "endpoint",
        "status",
    ),
    _histogram(
        "http_request_duration",
        "How long calls to servers took; of an event stream, until its first event.",
        _OF_CALLS,
        "endpoint",
    ),
    _counter(
        "rate_limited",
        "Calls that a server refused, and runs that it ended, because of a rate limit or an overload.",
        "endpoint",
    ),
    _counter("limit_wait_seconds", "How long ended jobs have waited for limits of servers.", "endpoint"),
    _counter("tool_calls", "Tool calls; `outcome`: ok, failed or timeout.", "tool", "outcome"),
    _counter("tokens", "Tokens of ended jobs; `kind`: prompt or completion.", "endpoint", "model", "kind"),
    _counter("cost", "Cost of ended jobs by the prices in the settings.", "endpoint", "currency"),
    _counter("callbacks", "Attempts to deliver a callback; `outcome`: delivered, failed or dead.", "outcome"),
)
