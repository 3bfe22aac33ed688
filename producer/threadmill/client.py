"""The client: enqueues prompt jobs and reads their results.

client = Client()
handle = client.enqueue("Summarise: ...")
print(handle.wait(timeout_s=600).text)
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadmill.errors import InvalidJob, KeyConflict, UploadNotFound
from threadmill.job.events.event import Event
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult, JobState
from threadmill.job.upload import Upload
from threadmill.operations.api_keys import ApiKeyOperations
from threadmill.operations.batches import BatchOperations
from threadmill.operations.callbacks import CallbackOperations
from threadmill.operations.endpoints import EndpointOperations
from threadmill.operations.job_lists import JobListOperations
from threadmill.operations.statistics import StatisticsOperations
from threadmill.operations.threads import ThreadOperations
from threadmill.redis.errors import may_have_run
from threadmill.settings.settings import Settings
from threadmill.store.connection import chunks
from threadmill.store.jobs.changes import Created
from threadmill.store.records.job import JobRecord
from threadmill.store.store import Store
from threadmill.tracing.enqueueing import enqueueing
from threadmill.tracing.spans import TraceContext
from threadmill.validation import JobValidator


@dataclass(frozen=True)
class JobHandle:
    """An enqueued job; it may have been enqueued earlier, with the same idempotency key."""

    id: str
    state: JobState  #: when it was enqueued
    is_new: bool
    _client: "Client"

    def get(self) -> JobRecord:
        """Returns the job's record: its state, and its result after it has ended."""
        return self._client.get(self.id)

    def wait(self, timeout_s: float | None = None) -> JobResult:
        """Waits until the job has ended and returns its result, also of a failed job. Raises WaitTimeout."""
        return self._client.wait(self.id, timeout_s)

    def events(self, timeout_s: float | None = None, *, after: str | None = None) -> Iterator[Event]:
        """Yields the job's events until it has ended; see `Client.follow`."""
        return self._client.follow(self.id, timeout_s, after=after)

    def cancel(self) -> JobState:
        """Cancels the job and returns its state now; see `Client.cancel`."""
        return self._client.cancel(self.id)


class Client(
    BatchOperations,
    JobListOperations,
    StatisticsOperations,
    ThreadOperations,
    EndpointOperations,
    ApiKeyOperations,
    CallbackOperations,
):
    """Enqueues jobs and reads their results. Thread-safe; connects on first use.

    `settings`: default `Settings.load()`. Calls raise StoreUnavailable at once if Redis does not answer. After a
    first reply, `wait` and `follow` retry for `redis_outage_tolerance_s`. All raise StoreRefused at once.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self.store = Store(self.settings)
        self._checked_keys: set[str] = set()
        self._applied: set[tuple[str, str]] = set()

    def ping(self) -> None:
        """Returns if Redis answers. Raises StoreUnavailable or StoreRefused."""
        self.store.ping()

    def enqueue(self, job: PromptJob | Mapping[str, Any] | str) -> JobHandle:
        """Enqueues a job: a prompt, a mapping of PromptJob's fields, or a PromptJob.

        Raises InvalidJob, SettingsError (the endpoint or its key is missing) or KeyConflict; then nothing was enqueued.
        """
        return self.enqueue_many([job])[0]

    def enqueue_many(self, jobs: Iterable[PromptJob | Mapping[str, Any] | str]) -> list[JobHandle]:
        """Enqueues many jobs in a few round trips. Validates all of them before it enqueues the first.

        Raises the same errors as `enqueue`. After a KeyConflict, which only Redis detects, the other jobs are enqueued.
        If Redis becomes unavailable during the call, StoreUnavailable has the handles of the enqueued jobs in
        `enqueued`, by their position in `jobs`, and in `unknown` the positions of jobs that may have been enqueued.
        """
        checked = [self.check(job) for job in jobs]
        for name in {job.endpoint for job in checked}:
            self._check_key(str(name))
        with enqueueing(self.settings.queue, len(checked)) as trace:
            created = self._create(checked, trace.context)
            trace.ids = [each.job_id for each in created.values()]
        for job, there in zip(checked, created.values(), strict=True):
            if there.digest != job.digest:
                differences = self.get(there.job_id).job.differences(job)
                raise KeyConflict(job.key or "", there.job_id, differences)
        return list(self._handles(created).values())

    def _create(self, checked: Sequence[PromptJob], trace: TraceContext | None) -> dict[int, Created]:
        """Returns what was created, by position. Raises StoreUnavailable as `enqueue_many` does."""
        created: dict[int, Created] = {}
        for positions in chunks(range(len(checked))):
            replies = self.store.create([(str(uuid.uuid4()), checked[at]) for at in positions], trace)
            made = {at: each for at, each in zip(positions, replies, strict=True) if isinstance(each, Created)}
            failed = {at: each for at, each in zip(positions, replies, strict=True) if not isinstance(each, Created)}
            created |= made
            for error in failed.values():
                unknown = [at for at, each in failed.items() if may_have_run(each.__cause__)]
                error.add_jobs(len(checked), self._handles(created), unknown)
                raise error
        return created

    def _handles(self, created: Mapping[int, Created]) -> dict[int, JobHandle]:
        return {at: JobHandle(each.job_id, each.state, each.is_new, self) for at, each in created.items()}

    def check(self, job: PromptJob | Mapping[str, Any] | str) -> PromptJob:
        """Validates a job and returns it with its endpoint and absolute paths. Raises InvalidJob, SettingsError."""
        if isinstance(job, str):
            job = {"prompt": job}
        if not isinstance(job, PromptJob):
            job = PromptJob.parse(job)
        name = self.settings.endpoint_name(job.endpoint)
        endpoint = self.settings.endpoints[name]
        if not endpoint.has_assistants:
            self._check_model(name, job)
        elif job.profile is not None:
            self._check_profile(name, job.profile, job.assistant)
        elif not (job.assistant or endpoint.assistant):
            raise InvalidJob(
                f"no assistant: name one in the job, or set `assistant` in [endpoints.{name}] (a remote id, asst_...)"
            )
        for tool in job.tools or ():
            if isinstance(tool, str):
                self.settings.check_tool(tool)
        if job.paths:
            job = job.at(Path.cwd())
        validator = JobValidator(name, endpoint)
        validator.check(job, self.settings)
        for upload_id in job.uploads:
            validator.check_upload(job, self._upload(upload_id))
        return job.model_copy(update={"endpoint": name})

    def _upload(self, upload_id: str) -> Upload:
        try:
            return self.store.upload(upload_id)
        except UploadNotFound as error:
            raise InvalidJob(f"uploads: {error}") from None

    def _check_model(self, name: str, job: PromptJob) -> None:
        """Checks that a job for a server without assistants has a model."""
        if job.assistant:
            raise InvalidJob(
                f"endpoint {name!r} has no assistants: leave `assistant` out, and name a `model` or a `profile`"
            )
        if job.profile is not None and job.profile not in self.settings.profiles:
            known = ", ".join(sorted(self.settings.profiles)) or "none"
            raise InvalidJob(f"there is no profile {job.profile!r} (known: {known}); add [profiles.{job.profile}]")
        if not self.settings.model_of(job, self.settings.endpoints[name]):
            raise InvalidJob(f"no model: name a model or a profile in the job, or set `model` in [endpoints.{name}]")

    def _check_profile(self, endpoint: str, profile: str, assistant: str | None) -> None:
        if assistant:
            raise InvalidJob(f"the job has profile {profile!r} and assistant {assistant!r}: leave one of them out")
        if (endpoint, profile) in self._applied:
            return
        if self.store.assistant_of(endpoint, profile) is None:
            raise InvalidJob(
                f"profile {profile!r} is not applied to endpoint {endpoint!r}: "
                f"threadmill assistants apply [FILE] --profile {profile} --endpoint {endpoint}"
            )
        self._applied.add((endpoint, profile))

    def _check_key(self, name: str) -> None:
        """Raises SettingsError if neither this process nor a worker has the endpoint's key: no worker could run it."""
        if name not in self._checked_keys:
            if self.settings.missing_key(name) and name not in self._served_endpoints():
                self.settings.require_key(name)
            self._checked_keys.add(name)

    def _served_endpoints(self) -> set[str]:
        """Returns the endpoints whose key some worker of the last day has."""
        return {name for worker in self.store.workers() for name in worker.endpoints}

    def get(self, job_id: str) -> JobRecord:
        """Returns the job's record. Raises JobNotFound, UnreadableRecord."""
        return self.store.get(job_id)

    def waits_for(self, job_id: str) -> str | None:
        """Returns what a queued job waits for, in words; None if it is not queued."""
        return self.store.waits_for(job_id)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobResult:
        """Waits until the job has ended and returns its result. Raises WaitTimeout, JobNotFound, UnreadableRecord."""
        return self.store.wait(job_id, timeout_s)

    def follow(self, job_id: str, timeout_s: float | None = None, *, after: str | None = None) -> Iterator[Event]:
        """Yields the job's events from its start until it has ended: changes of state, runs and tool calls.

        A job with `stream` also yields text as the model writes it. You can start at any time and stop at any time;
        `after` continues after the event with this `entry_id`. Retries for `redis_outage_tolerance_s` while Redis is
        unavailable. Raises WaitTimeout, JobNotFound, UnreadableRecord, InvalidEntryId.
        """
        return self.store.events(job_id, timeout_s, after)

    def cancel(self, job_id: str) -> JobState:
        """Cancels a job and returns its state now. A running job ends after its worker has stopped the remote run."""
        return self.store.cancel(job_id)

    def withdraw(self, job_ids: Sequence[str]) -> list[str]:
        """Cancels the jobs that no worker has started. Returns their ids."""
        return self.store.withdraw_many(job_ids)

    def redrive(self, job_id: str) -> JobState:
        """Enqueues a failed or cancelled job again. Returns its state now. Raises JobNotFound, UnreadableRecord."""
        return self.store.redrive(job_id)

    def delete(self, job_id: str) -> None:
        """Deletes the record of a job that has ended, before its time. A batch still counts it.

        Its thread stays if it was kept, and its idempotency key is free again. Raises JobNotFound, JobNotEnded.
        """
        self.store.delete(job_id)

    def applied_profiles(self) -> set[tuple[str, str]]:
        """Returns the endpoints and profiles for which an assistant exists."""
        return set(self.store.assistants())
