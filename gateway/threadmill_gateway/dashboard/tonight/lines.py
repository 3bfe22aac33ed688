"""What the first page shows, from what was read. PURE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from threadmill.job.result import ModelUsage, Usage, add_up
from threadmill.settings.prices import Cost, Prices, cost
from threadmill.store.fleet.overview import Overview
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.stats import HourStats
from threadmill.store.records.worker import SKEW_LIMIT_S, FailingEndpoint, Worker, merge_failing_endpoints


@dataclass(frozen=True)
class BatchLine:
    """A batch with open jobs."""

    batch: BatchRecord
    per_minute: float | None  #: jobs that ended a minute; None: none did within the last minutes
    left_s: float | None  #: at this rate; None: not known
    cost: Cost


def batch_lines(batches: Iterable[BatchRecord], rates: Mapping[str, float], prices: Prices) -> list[BatchLine]:
    """Returns the batches with open jobs. `rates`: jobs of each that ended per second."""
    lines = []
    for batch in batches:
        if batch.open:
            rate = None if batch.paused else rates.get(batch.name)
            per_minute = rate * 60 if rate else None
            lines.append(BatchLine(batch, per_minute, batch.left_s(rate), cost(batch.usage_by_model, prices)))
    return lines


@dataclass(frozen=True)
class Spent:
    """Tokens of some hours, and what they cost."""

    by_model: tuple[ModelUsage, ...]
    cost: Cost

    @property
    def usage(self) -> Usage:
        return sum((part.usage for part in self.by_model), Usage())


def spent(hours: Iterable[HourStats], prices: Prices) -> Spent:
    by_model = add_up(part for hour in hours for part in hour.usage_by_model)
    return Spent(by_model, cost(by_model, prices))


@dataclass(frozen=True)
class PoolLine:
    """A pool in the table of endpoints."""

    pool: PoolRecord
    is_first: bool  #: of its endpoint
    is_served: bool  #: whether a running worker has its key
    failing: FailingEndpoint | None = None  #: its endpoint gives no usable replies


def pool_lines(pools: Iterable[PoolRecord], workers: Sequence[Worker]) -> list[PoolLine]:
    """Returns the pools by name."""
    failing = {each.endpoint: each for each in _failing(workers)}
    served = {name for worker in workers for name in worker.endpoints}
    lines: list[PoolLine] = []
    for pool in sorted(pools, key=lambda each: each.label):
        is_first = not lines or lines[-1].pool.endpoint != pool.endpoint
        lines.append(PoolLine(pool, is_first, pool.endpoint in served, failing.get(pool.endpoint)))
    return lines


@dataclass(frozen=True)
class Alerts:
    """What somebody should look at, or do something about."""

    no_worker: int = 0  #: jobs that wait while no worker runs
    unserved: tuple[PoolRecord, ...] = ()  #: pools for which jobs wait, and whose key no running worker has
    deaf: tuple[str, ...] = ()  #: workers whose consumer takes no messages
    outdated: tuple[Worker, ...] = ()  #: workers that left jobs to those of a newer version
    skewed: tuple[Worker, ...] = ()  #: workers whose clock is wrong
    failing: tuple[FailingEndpoint, ...] = ()
    held_back: tuple[PoolRecord, ...] = ()  #: pools that are paused or shut
    leftovers: int = 0  #: given up
    callbacks: int = 0  #: given up
    dead_letters: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


def alerts(overview: Overview, workers: Sequence[Worker], pools: Sequence[PoolRecord]) -> Alerts:
    served = {name for worker in workers for name in worker.endpoints}
    return Alerts(
        no_worker=0 if workers else overview.open,
        unserved=tuple(pool for pool in pools if workers and pool.waiting and pool.endpoint not in served),
        deaf=tuple(worker.name for worker in workers if worker.is_consuming is False),
        outdated=tuple(worker for worker in workers if worker.left_alone),
        skewed=tuple(worker for worker in workers if abs(worker.clock_skew_s) > SKEW_LIMIT_S),
        failing=_failing(workers),
        held_back=tuple(pool for pool in pools if not pool.is_open),
        leftovers=overview.leftovers_given_up,
        callbacks=overview.callbacks_dead,
        dead_letters=overview.dead_letters,
    )


def _failing(workers: Iterable[Worker]) -> tuple[FailingEndpoint, ...]:
    return merge_failing_endpoints(each for worker in workers for each in worker.failing_endpoints)
