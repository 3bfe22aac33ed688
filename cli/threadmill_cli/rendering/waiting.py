"""Waits for jobs, and notes what they wait for: endpoints without usable replies, limits, workers that are too old."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC

from threadmill.client import Client
from threadmill.errors import StoreUnavailable, UnreadableRecord, WaitTimeout
from threadmill.job.result import JobResult
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import FailingEndpoint, Worker, merge_failing_endpoints
from threadmill_cli.app import note
from threadmill_cli.rendering.times import show_moment

_POLL_EVERY_S = 1.0
_REASON_SHOWN = 60  # characters


class EndpointNotices:
    """Notes what jobs wait for: what endpoints begin and end to hold back, and once each limit and outdated worker."""

    def __init__(self, client: Client, endpoint: str | None = None) -> None:
        self._client = client
        self._endpoint = endpoint  #: None: any
        self._noted = set[str]()
        self._noted_once = set[str]()

    def poll(self) -> None:
        """Reads what the workers announce, and the pools; call it about once a second."""
        with suppress(StoreUnavailable):  # the call that waits for the job reports it
            workers, pools = self._client.workers(), self._client.awaited_pools(self._endpoint)
            for worker in workers:
                if worker.left_alone:
                    self._note_once(worker.name, show_left_alone(worker))
            found = merge_failing_endpoints(
                failing
                for worker in workers
                for failing in worker.failing_endpoints
                if self._endpoint in (None, failing.endpoint)
            )
            self._note_changes(
                {f"{each.endpoint} replies again": show_failing_endpoint(each) for each in found}
                | {f"{each.label} is open again": show_awaited_pool(each) for each in pools if not each.is_open}
            )
            for pool in pools:  # a limit is reached and left again all the time
                if pool.is_open:
                    self._note_once(pool.label, show_awaited_pool(pool))

    def _note_once(self, about: str, text: str) -> None:
        if about not in self._noted_once:
            self._noted_once.add(about)
            note(text)

    def _note_changes(self, waits: Mapping[str, str]) -> None:
        """Notes what has ended, by its key, and what has begun, by its value."""
        for end in self._noted - waits.keys():
            note(end)
        for end in waits.keys() - self._noted:
            note(waits[end])
        self._noted = set(waits)


def show_left_alone(worker: Worker) -> str:
    return f"{worker.name} left jobs to workers of a newer version: {worker.left_alone:,}; update it"


def show_failing_endpoint(failing: FailingEndpoint) -> str:
    """Returns one line: the endpoint's reply, how many jobs wait for it, since when and until when."""
    calls = f"{failing.calls:,} failed calls" if failing.calls > 1 else "1 failed call"
    since = f"since {failing.since.astimezone(UTC):%H:%M:%S} UTC"
    until = f"; trying until {show_moment(failing.until)} UTC" if failing.until else ""
    return f"{failing.endpoint}: {_short(failing.reason)} ({show_jobs(failing.jobs)}, {calls} {since}){until}"


def show_awaited_pool(pool: PoolRecord) -> str:
    """Returns one line: why jobs wait for the pool, and how many."""
    jobs = f" ({show_jobs(pool.waiting)} waiting)" if pool.waiting else ""
    return f"{pool.label} is {_short(pool.wait_reason or 'open')}{jobs}"


def show_waits(failing_endpoints: Iterable[FailingEndpoint], awaited_pools: Iterable[PoolRecord]) -> str:
    """Returns one line: what jobs wait for; '' if for nothing."""
    return "; ".join([*map(show_failing_endpoint, failing_endpoints), *map(show_awaited_pool, awaited_pools)])


def _short(reason: str) -> str:
    """Returns the beginning of a reason, in one line."""
    line = " ".join(reason.split())
    return line if len(line) <= _REASON_SHOWN else f"{line[:_REASON_SHOWN]}..."


def show_jobs(number: int) -> str:
    return f"{number:,} jobs" if number > 1 else "1 job"


def wait_for(client: Client, job_id: str, timeout_s: float | None, check: Callable[[], None]) -> JobResult:
    """Waits for a result. Calls `check`, which may raise, about once a second. Raises WaitTimeout, JobNotFound."""
    notices: EndpointNotices | None = None
    stop_at = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = _POLL_EVERY_S if stop_at is None else min(_POLL_EVERY_S, stop_at - time.monotonic())
        try:
            return client.wait(job_id, max(0.0, left_s))
        except WaitTimeout:
            if stop_at is not None and time.monotonic() >= stop_at:
                raise WaitTimeout(job_id, timeout_s or 0) from None
        check()
        notices = notices or EndpointNotices(client, _endpoint_of(client, job_id))
        notices.poll()


def _endpoint_of(client: Client, job_id: str) -> str | None:
    """Returns the job's endpoint; None if the job is unreadable, which its worker reports."""
    with suppress(UnreadableRecord):
        return client.get(job_id).endpoint
    return None
