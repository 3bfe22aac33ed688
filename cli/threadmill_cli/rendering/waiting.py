"""Waits for jobs, and notes endpoints that give no usable replies and workers that are too old."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC

from threadmill.client import Client
from threadmill.errors import StoreUnavailable, UnreadableRecord, WaitTimeout
from threadmill.job.result import JobResult
from threadmill.store.worker_records import FailingEndpoint, Worker, merge_failing_endpoints
from threadmill_cli.app import note
from threadmill_cli.rendering.times import show_moment

_POLL_EVERY_S = 1.0
_REASON_SHOWN = 60  # characters


class EndpointNotices:
    """Notes each endpoint that stops or resumes giving usable replies, and each worker that is too old, once."""

    def __init__(self, client: Client, endpoint: str | None = None) -> None:
        self._client = client
        self._endpoint = endpoint  #: None: any
        self._noted = set[str]()
        self._too_old = set[str]()

    def poll(self) -> None:
        """Reads what the workers announce; call it about once a second."""
        found: tuple[FailingEndpoint, ...] = ()
        with suppress(StoreUnavailable):  # the call that waits for the job reports it
            workers = self._client.workers()
            for worker in workers:
                if worker.left_alone and worker.name not in self._too_old:
                    self._too_old.add(worker.name)
                    note(show_left_alone(worker))
            found = merge_failing_endpoints(
                failing
                for worker in workers
                for failing in worker.failing_endpoints
                if self._endpoint in (None, failing.endpoint)
            )
            for name in self._noted - {failing.endpoint for failing in found}:
                note(f"{name} replies again")
                self._noted.remove(name)
        for failing in found:
            if failing.endpoint not in self._noted:
                self._noted.add(failing.endpoint)
                note(show_failing_endpoint(failing))


def show_left_alone(worker: Worker) -> str:
    return f"{worker.name} left jobs to workers of a newer version: {worker.left_alone:,}; update it"


def show_failing_endpoint(failing: FailingEndpoint) -> str:
    """Returns one line: the endpoint's reply, how many jobs wait for it, since when and until when."""
    reason = " ".join(failing.reason.split())
    short = reason if len(reason) <= _REASON_SHOWN else f"{reason[:_REASON_SHOWN]}..."
    calls = f"{failing.calls:,} failed calls" if failing.calls > 1 else "1 failed call"
    since = f"since {failing.since.astimezone(UTC):%H:%M:%S} UTC"
    until = f"; trying until {show_moment(failing.until)} UTC" if failing.until else ""
    return f"{failing.endpoint}: {short} ({show_jobs(failing.jobs)}, {calls} {since}){until}"


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
        return client.get(job_id).job.endpoint
    return None
