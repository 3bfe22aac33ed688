"""What a service imports: enqueue prompt jobs, read their results.

client = Client()
handle = client.enqueue("Summarise: ...")
print(handle.wait(timeout_s=600).text)
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery import Celery

from threadmill.errors import InvalidJob, KeyConflict, SettingsError
from threadmill.job import JobRecord, JobResult, JobState, PromptJob
from threadmill.queue import make_app, send
from threadmill.settings import Settings
from threadmill.store import Store


@dataclass(frozen=True)
class JobHandle:
    """A job that was enqueued, now or earlier under the same idempotency key."""

    id: str
    state: JobState  #: when it was enqueued
    is_new: bool
    _client: "Client"

    def get(self) -> JobRecord:
        """The job as it stands."""
        return self._client.get(self.id)

    def wait(self, timeout_s: float | None = None) -> JobResult:
        """Blocks until the job has ended; a failed job is a result too. Raises WaitTimeout."""
        return self._client.wait(self.id, timeout_s)

    def cancel(self) -> JobState:
        return self._client.cancel(self.id)


class Client:
    """Enqueues jobs and reads them back. Thread-safe; connects on first use.

    `settings`: default `Settings.load()`. Every call raises StoreUnavailable when Redis does not answer.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self.store = Store(self.settings)

    @cached_property
    def _celery(self) -> Celery:
        return make_app(self.settings)

    def enqueue(self, job: PromptJob | Mapping[str, Any] | str) -> JobHandle:
        """One job: a prompt, a mapping of PromptJob's fields, or a PromptJob.

        Raises InvalidJob, SettingsError (its endpoint or key is not there) or KeyConflict, and then nothing
        was enqueued.
        """
        return self.enqueue_many([job])[0]

    def enqueue_many(self, jobs: Iterable[PromptJob | Mapping[str, Any] | str]) -> list[JobHandle]:
        """Many jobs in a few round trips. All are checked before the first is enqueued."""
        checked = [self.check(job) for job in jobs]
        created = self.store.create([(str(uuid.uuid4()), job) for job in checked])
        handles = []
        for job, found in zip(checked, created, strict=True):
            if found.is_new:
                send(self._celery, found.job_id)
            elif found.digest != job.digest:
                raise KeyConflict(job.key or "", found.job_id, found.digest, job.digest)
            handles.append(JobHandle(found.job_id, found.state, found.is_new, self))
        return handles

    def check(self, job: PromptJob | Mapping[str, Any] | str) -> PromptJob:
        """The job as it would be enqueued; raises InvalidJob or SettingsError."""
        if isinstance(job, str):
            job = {"prompt": job}
        if not isinstance(job, PromptJob):
            job = PromptJob.parse(job)
        name = self.settings.endpoint_name(job.endpoint)
        endpoint = self.settings.endpoints[name]
        if not (job.assistant or endpoint.assistant):
            raise InvalidJob(
                f"no assistant: give the job one, or set `assistant` in [endpoints.{name}] (a remote id, asst_...)"
            )
        for tool in job.tools or ():
            if isinstance(tool, str) and tool not in self.settings.tools:
                known = ", ".join(sorted(self.settings.tools)) or "none"
                raise InvalidJob(
                    f'there is no tool {tool!r} (known: {known}); add {tool} = "module:function" to [tools]'
                )
        self._check_key(name)
        return job.model_copy(update={"endpoint": name})

    def _check_key(self, name: str) -> None:
        """The key must be here or with a worker: a job that no worker can send helps nobody."""
        variable = self.settings.endpoints[name].missing_key()
        if variable and name not in self._served_endpoints:
            raise SettingsError(
                f"endpoint {name!r} needs its key in {variable}, which is set neither here nor in a worker. "
                f"Set it where the worker runs: export {variable}=..."
            )

    @cached_property
    def _served_endpoints(self) -> frozenset[str]:
        """The endpoints some worker has announced to hold the key of."""
        announced = (json.loads(worker) for worker in self.store.workers().values())
        return frozenset(name for worker in announced for name in worker["endpoints"])

    def get(self, job_id: str) -> JobRecord:
        """The job as it stands; raises JobNotFound."""
        return self.store.get(job_id)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobResult:
        """Blocks until the job has ended. Raises WaitTimeout, JobNotFound."""
        return self.store.wait(job_id, timeout_s)

    def cancel(self, job_id: str) -> JobState:
        """Stops a job. A queued one ends at once; a running one when its worker has stopped the remote run."""
        return self.store.cancel(job_id)

    def redrive(self, job_id: str) -> JobState:
        """Sends a failed or cancelled job again; gives the state it is in now."""
        state = self.store.redrive(job_id)
        if state is JobState.QUEUED:
            send(self._celery, job_id)
        return state

    def jobs(self, *, state: JobState | None = None, batch: str | None = None, limit: int = 50) -> list[JobRecord]:
        """The newest jobs, of one state or of one batch."""
        return self.store.jobs(state, batch, limit)
