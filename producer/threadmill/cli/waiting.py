"""Waiting for jobs: a note for every server that workers cannot reach meanwhile, and for workers that are too old."""

import time
from collections.abc import Callable
from contextlib import suppress

from threadmill.cli.app import note
from threadmill.cli.times import show_moment
from threadmill.client import Client
from threadmill.errors import StoreUnavailable, UnreadableRecord, WaitTimeout
from threadmill.record import Outage, Worker
from threadmill.result import JobResult

_LOOK_EVERY_S = 1.0


class Outages:
    """Notes once, on stderr, that an endpoint cannot be reached, that it can be again, and that a worker is too old."""

    def __init__(self, client: Client, endpoint: str | None = None) -> None:
        self._client = client
        self._endpoint = endpoint  #: None: any
        self._noted: dict[str, str] = {}
        self._too_old = set[str]()

    def look(self) -> None:
        """To be called about once a second."""
        found: dict[str, Outage] = {}
        with suppress(StoreUnavailable):  # whoever waits for a job reports that
            workers = self._client.workers()
            for worker in workers:
                if worker.left_alone and worker.name not in self._too_old:
                    self._too_old.add(worker.name)
                    note(show_left_alone(worker))
            found = {
                outage.endpoint: outage
                for worker in workers
                for outage in worker.unreachable
                if self._endpoint in (None, outage.endpoint)
            }
            for name in self._noted.keys() - found.keys():
                note(f"{name} can be reached again")
                del self._noted[name]
        for name, outage in found.items():
            if name not in self._noted:
                self._noted[name] = outage.reason
                note(show_outage(outage))


def show_left_alone(worker: Worker) -> str:
    return f"{worker.name} left jobs to workers of a newer version: {worker.left_alone:,}; update it"


def show_outage(outage: Outage) -> str:
    return f"cannot reach {outage.endpoint} ({outage.reason}); trying until {show_moment(outage.until)} UTC"


def wait_for(client: Client, job_id: str, timeout_s: float | None, check: Callable[[], None]) -> JobResult:
    """The job's result. `check` is called about once a second and may raise. Raises WaitTimeout, JobNotFound."""
    outages: Outages | None = None
    stop_at = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = _LOOK_EVERY_S if stop_at is None else min(_LOOK_EVERY_S, stop_at - time.monotonic())
        try:
            return client.wait(job_id, max(0.0, left_s))
        except WaitTimeout:
            if stop_at is not None and time.monotonic() >= stop_at:
                raise WaitTimeout(job_id, timeout_s or 0) from None
        check()
        outages = outages or Outages(client, _endpoint_of(client, job_id))
        outages.look()


def _endpoint_of(client: Client, job_id: str) -> str | None:
    """None: the job cannot be read, which its worker will report."""
    with suppress(UnreadableRecord):
        return client.get(job_id).job.endpoint
    return None
