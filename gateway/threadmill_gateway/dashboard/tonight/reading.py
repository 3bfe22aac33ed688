"""Reads what the first page shows. Its functions block. No call reads more than some dozens of entries."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from threadmill.client import Client
from threadmill.job.result import FailureKind
from threadmill_gateway.dashboard.reports.reading import overviews
from threadmill_gateway.dashboard.tonight.lines import alerts, batch_lines, pool_lines, spent

#: The time that counts as tonight.
HOURS = 24

#: Batches by their last change that are read to find open ones, and entries of each table.
_BATCHES = 100
_LINES = 20

#: How long a page that is open shows examples of failures, and reports, before it reads them again, in seconds.
_KEPT_S = 15.0

_T = TypeVar("_T")


class Kept(Generic[_T]):
    """A value that is read again when it is old."""

    def __init__(self, read: Callable[..., _T]) -> None:
        self._read = read
        self._value: _T | None = None
        self._old_at = float("-inf")

    def get(self, *arguments: Any) -> _T:
        if self._value is None or time.monotonic() >= self._old_at:
            self._value = self._read(*arguments)
            self._old_at = time.monotonic() + _KEPT_S
        return self._value


class Tonight:
    """The state of everything, for one page that is open."""

    def __init__(self) -> None:
        self._examples = Kept(_examples)
        self._reports = Kept(overviews)

    def read(self, client: Client) -> Mapping[str, Any]:
        """Returns the variables of the template."""
        settings = client.settings
        since = datetime.now().astimezone() - timedelta(hours=HOURS)
        overview, workers, pools = client.overview(since), client.workers(), client.endpoint_pools()
        failures = client.failure_counts(since)
        batches = [batch for batch in client.batch_page(limit=_BATCHES).batches if batch.open][:_LINES]
        rates = client.batch_rates([batch.name for batch in batches])
        return {
            "overview": overview,
            "workers": workers,
            "pools": pool_lines(pools, workers),
            "alerts": alerts(overview, workers, pools),
            "failures": failures,
            "examples": self._examples.get(client, tuple(failures)[:_LINES], since) if failures else {},
            "batches": batch_lines(batches, rates, settings.prices),
            "spent": spent(client.stats(HOURS), settings.prices),
            "reports": self._reports.get(client)[:_LINES],
            "is_new": not overview.jobs and not batches,
        }


def _examples(client: Client, kinds: tuple[FailureKind, ...], since: datetime) -> dict[FailureKind, str]:
    """Returns the message of the last failure of each kind."""
    found = {}
    for kind in kinds:
        for record in client.job_page(failure=kind, since=since, limit=1).jobs:
            if record.result and record.result.failure:
                found[kind] = record.result.failure.message
    return found
