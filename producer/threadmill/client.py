"""The client: enqueues prompt jobs and reads their results.

client = Client()
handle = client.enqueue("Summarise: ...")
print(handle.wait(timeout_s=600).text)
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from threadmill.errors import InvalidJob, KeyConflict, ThreadNotFound, UploadNotFound
from threadmill.job.api_key import DEFAULT_SCOPES, ApiKey, NewApiKey, new_api_key
from threadmill.job.callback import Callback
from threadmill.job.events import Event
from threadmill.job.prompt import PromptJob
from threadmill.job.result import OPEN, TERMINAL, FailureKind, JobResult, JobState
from threadmill.job.upload import Upload
from threadmill.redis.errors import may_have_run
from threadmill.settings.settings import Settings
from threadmill.store.api_keys import Admission
from threadmill.store.batch_records import BatchRecord
from threadmill.store.batches import Finished
from threadmill.store.callback_records import Delivery, DeliveryState
from threadmill.store.connection import chunks
from threadmill.store.duration_records import RunDurations
from threadmill.store.job_lists import JobPage
from threadmill.store.jobs import Created, Store
from threadmill.store.pool_records import PoolRecord
from threadmill.store.records import DeadLetter, JobFilter, JobRecord, UnreadableJob
from threadmill.store.remote_records import KeptThread, Leftover, ThreadPage
from threadmill.store.worker_records import FailingEndpoint, Worker, merge_failing_endpoints
from threadmill.stored import warn
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


class Client:
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
        created: dict[int, Created] = {}
        for positions in chunks(range(len(checked))):
            replies = self.store.create([(str(uuid.uuid4()), checked[at]) for at in positions])
            made = {at: each for at, each in zip(positions, replies, strict=True) if isinstance(each, Created)}
            failed = {at: each for at, each in zip(positions, replies, strict=True) if not isinstance(each, Created)}
            created |= made
            for error in failed.values():
                unknown = [at for at, each in failed.items() if may_have_run(each.__cause__)]
                error.add_jobs(len(checked), self._handles(created), unknown)
                raise error
        for job, there in zip(checked, created.values(), strict=True):
            if there.digest != job.digest:
                differences = self.get(there.job_id).job.differences(job)
                raise KeyConflict(job.key or "", there.job_id, differences)
        return list(self._handles(created).values())

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
        if endpoint.wire == "responses":
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

    def threads(self) -> list[KeptThread]:
        """Returns the threads that jobs with `keep_thread` kept, the last used first."""
        return self.store.threads()

    def thread(self, thread_id: str, endpoint: str) -> KeptThread:
        """Returns a kept thread. Raises ThreadNotFound."""
        return self.store.thread(endpoint, thread_id)

    def thread_page(self, *, limit: int = 100, cursor: str | None = None) -> ThreadPage:
        """Returns a part of the kept threads, the last used first in each part.

        A part has about `limit` threads, and all of them while there are few. `cursor`: `next_cursor` of the part
        before. A thread that is kept or deleted meanwhile may be left out, or come twice. Raises InvalidCursor.
        """
        return self.store.thread_page(limit, cursor)

    def thread_jobs(self, thread_id: str, endpoint: str) -> list[str]:
        """Returns the ids of the last jobs on a kept thread, at most 30 that have ended, and of its open jobs.

        They are in the order of their turns. Raises ThreadNotFound.
        """
        kept = self.thread(thread_id, endpoint)
        last, *open_jobs = self.jobs_on_thread(thread_id, endpoint)
        ended = dict.fromkeys(kept.job_ids or (last,))  # a job that was redriven has ended twice
        return [*ended, *(job_id for job_id in open_jobs if job_id not in ended)]

    def delete_thread(self, thread_id: str, endpoint: str | None = None, *, force: bool = False) -> None:
        """Lets workers delete a kept thread with its files and vector stores.

        If several endpoints have a thread with this id, all are deleted unless you name one `endpoint`. Raises
        ThreadNotFound, and ThreadInUse while jobs wait for it or run on it; with `force` it is deleted and they fail.
        """
        endpoints = [endpoint] if endpoint else [each.endpoint for each in self.threads() if each.id == thread_id]
        if not endpoints:
            raise ThreadNotFound(thread_id)
        for name in endpoints:
            self.store.forget_thread(name, thread_id, force=force)

    def jobs_on_thread(self, thread_id: str, endpoint: str) -> list[str]:
        """Returns ids: of the last job that ended on a kept thread, and of the open jobs in the order of their turns.

        A job that continues the thread now comes after the last of them. Raises ThreadNotFound.
        """
        ended, turns = self.store.jobs_on_thread(endpoint, thread_id)
        states = self.store.states(turns)
        return [ended, *(job_id for job_id in turns if states.get(job_id) in OPEN)]

    def applied_profiles(self) -> set[tuple[str, str]]:
        """Returns the endpoints and profiles for which an assistant exists."""
        return set(self.store.assistants())

    def leftovers(self) -> list[Leftover]:
        """Returns the remote objects that still have to be deleted after their jobs have ended."""
        return self.store.leftovers()

    def retry_leftovers(self) -> int:
        """Lets workers try again to delete all leftovers, including those given up. Returns their number."""
        return self.store.retry_leftovers()

    def batches(self) -> list[BatchRecord]:
        """Returns the batches that are kept, the latest change first."""
        return self.store.batches()

    def batch(self, name: str) -> BatchRecord:
        """Returns a batch: jobs by state, tokens and calls spent, failures by kind. Raises BatchNotFound."""
        return self.store.batch(name)

    def ended_jobs(self, batch: str, *, after: str = "0-0") -> list[Finished]:
        """Returns jobs of the batch in the order in which they ended: the first ones, or those after a `cursor`.

        A thousand at a time: ask again, after the last one, until none is returned. A job that was redriven comes
        again. Raises BatchNotFound, InvalidCursor.
        """
        return self.store.ended_jobs(batch, after)

    def pause(self, batch: str) -> None:
        """Stops workers from starting jobs of the batch; running jobs finish. Raises BatchNotFound."""
        self.store.set_batch_flag(batch, "paused")

    def resume(self, batch: str) -> None:
        """Lets workers start jobs of a paused batch again. Raises BatchNotFound."""
        self.store.set_batch_flag(batch, "paused", False)

    def limit_batch(self, batch: str, concurrent: int | None) -> None:
        """Limits how many of the batch's jobs run at a time; None removes the limit. Running jobs continue.

        Raises BatchNotFound, and ValueError if `concurrent` is less than 1.
        """
        if concurrent is not None and concurrent < 1:
            raise ValueError(f"`concurrent` is {concurrent}: give 1 or more, or pause the batch")
        self.store.limit_batch(batch, concurrent)

    def set_batch_callback(self, batch: str, callback: Callback | Mapping[str, Any]) -> None:
        """Has a callback sent once, when no job of the batch is open; at once if none is. Replaces one not yet sent.

        Call it after you have enqueued the jobs. Raises BatchNotFound, and InvalidJob for a wrong field.
        """
        self.store.set_batch_callback(batch, callback if isinstance(callback, Callback) else Callback.parse(callback))

    def callbacks(self, state: DeliveryState | None = None, limit: int = 50) -> list[Delivery]:
        """Returns the callbacks that are kept: pending ones, the first due first; then dead and delivered ones, the
        last first. `limit`: the most of each state."""
        states = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.DELIVERED) if state is None else (state,)
        return self.store.callbacks(states, limit)

    def retry_callbacks(self, delivery_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Has callbacks sent again now; without ids, all dead ones. Their ids do not change.

        Returns for each `pending`, `delivered` (it is not sent again) or `missing`.
        """
        return self.store.retry_callbacks(self.store.dead_callbacks() if delivery_ids is None else delivery_ids)

    def drop_callbacks(self, delivery_ids: Sequence[str]) -> dict[str, str]:
        """Deletes callbacks, so that they are not sent. Returns `dropped` or `missing` for each."""
        return self.store.drop_callbacks(delivery_ids)

    def cancel_batch(self, batch: str) -> dict[str, JobState]:
        """Stops the command that enqueues the batch, and cancels its unfinished jobs. Returns their states now.

        Raises BatchNotFound.
        """
        self.store.set_batch_flag(batch, "cancel_requested")
        ids = self.store.batch_jobs(batch)
        known = self.store.states(ids)  # a job with an unreadable state may be unfinished
        return self.store.cancel_many([job_id for job_id in ids if known.get(job_id) not in TERMINAL])

    def redrive_batch(self, batch: str) -> dict[str, JobState]:
        """Enqueues the batch's failed jobs again. Returns their states now. Raises BatchNotFound."""
        self.store.check_batch(batch)
        states = self.store.states(self.store.batch_jobs(batch))
        return self.store.redrive_many([job_id for job_id, state in states.items() if state is JobState.FAILED])

    def jobs(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        endpoint: str | None = None,
        failure: FailureKind | None = None,
        since: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        """Returns the jobs that match all the arguments, the latest change of state first.

        Those of a `batch` or a `tenant` are listed by their creation, the latest first. `since`, `until`: they changed
        their state at this time or later, and before this time. `metadata`: they have all these pairs. `tenant`: they
        name it. Unreadable jobs are left out and counted by a warning in the log. Raises BatchNotFound.
        """
        found = self.store.jobs(JobFilter(state, batch, endpoint, failure, since, metadata, tenant, until), limit)
        if found.unreadable:
            warn(f"unreadable jobs left out of a list: {found.unreadable:,}; `threadmill jobs --unreadable` lists them")
        return found.jobs

    def job_page(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        endpoint: str | None = None,
        failure: FailureKind | None = None,
        since: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant: str | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """Returns a page of the list that `jobs` returns: its first jobs, or those after `cursor`.

        `cursor`: `next_cursor` of a page that was made with the same arguments. `since` and `until` (excluded) limit
        the time of the last change of state; with `batch` or `tenant`, the time of creation. Reads at most 1,000 jobs:
        if few of them match, the page has fewer than `limit`, and `next_cursor` goes on. In a list without `batch` and
        `tenant`, a job that changes its state between two pages may be left out, or come twice.

        Raises BatchNotFound, InvalidCursor, and ValueError if `limit` is less than 1.
        """
        if limit < 1:
            raise ValueError(f"`limit` is {limit}: give 1 or more")
        chosen = JobFilter(state, batch, endpoint, failure, since, metadata, tenant, until)
        return self.store.job_page(chosen, limit, cursor)

    def open_jobs(self, tenant: str) -> int:
        """Returns how many jobs that name the tenant are queued or running."""
        return self.store.open_jobs(tenant)

    def unreadable_jobs(
        self,
        *,
        state: JobState | None = None,
        batch: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[UnreadableJob]:
        """Returns the jobs with a part that is damaged or was written by a newer version.

        Reads every job that matches the arguments. Raises BatchNotFound.
        """
        return self.store.unreadable_jobs(JobFilter(state, batch, since=since), limit)

    def dead_letters(self) -> list[DeadLetter]:
        """Returns the queue messages that no worker could deliver, the newest first; at most a hundred are kept."""
        return self.store.dead_letters()

    def clear_dead_letters(self) -> None:
        """Deletes all dead letters."""
        self.store.clear_dead_letters()

    def workers(self) -> list[Worker]:
        """Returns the workers that are running."""
        return self.store.live_workers()

    def failing_endpoints(self, endpoint: str | None = None) -> tuple[FailingEndpoint, ...]:
        """Returns an entry for each endpoint that gives workers no usable replies now; with `endpoint`, only for it."""
        found = (failing for worker in self.workers() for failing in worker.failing_endpoints)
        return merge_failing_endpoints(failing for failing in found if endpoint in (None, failing.endpoint))

    def pools(self, endpoint: str | None = None) -> list[PoolRecord]:
        """Returns the pools in use, by name: their limits, the jobs that use them, and the jobs that wait for them.

        In use are pools on which a job started within the last hour, and those that jobs use or wait for. A paused
        endpoint has at least one. With `endpoint`, returns only its pools.
        """
        return self.store.pools(endpoint)

    def run_durations(self, endpoint: str | None = None) -> list[RunDurations]:
        """Returns how long the last runs of each assistant and model took, as the workers know it.

        The latest used come first; what was not used for 8 days is forgotten. With `endpoint`, returns only its own.
        """
        return self.store.run_durations(endpoint)

    def awaited_pools(self, endpoint: str | None = None) -> tuple[PoolRecord, ...]:
        """Returns the pools that hold jobs back now, each with its `wait_reason`; with `endpoint`, only its pools."""
        return tuple(pool for pool in self.pools(endpoint) if pool.wait_reason)

    def pause_endpoint(self, name: str, reason: str = "") -> None:
        """Stops workers from starting runs on an endpoint; jobs under way continue. `reason`: for those who wait.

        Workers start its jobs again after `resume_endpoint`. Raises SettingsError if there is no such endpoint.
        """
        self.store.pause_endpoint(self.settings.endpoint_name(name), reason)

    def resume_endpoint(self, name: str) -> bool:
        """Lets workers start runs on a paused endpoint again. Returns whether it was paused.

        Raises SettingsError if there is no such endpoint, unless it is paused.
        """
        was_paused = self.store.resume_endpoint(name)
        if not was_paused:
            self.settings.endpoint_name(name)
        return was_paused

    def create_api_key(
        self,
        name: str,
        *,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        endpoints: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        requests_per_minute: int | None = None,
        max_open_jobs: int | None = None,
        max_body_bytes: int | None = None,
        callback_secret_env: str | None = None,
    ) -> NewApiKey:
        """Creates an API key for a caller of the gateway. Its text is known only now: Redis has a hash of it.

        `name` becomes the tenant of the caller's jobs. `ApiKey` documents the other fields; None is no limit. Raises
        InvalidApiKey, ApiKeyExists, and SettingsError for an endpoint that the settings lack.
        """
        allowed = None if endpoints is None else tuple(map(self.settings.endpoint_name, endpoints))
        made = new_api_key(
            name,
            self.store.now(),
            scopes=tuple(scopes),
            endpoints=allowed,
            expires_at=expires_at,
            requests_per_minute=requests_per_minute,
            max_open_jobs=max_open_jobs,
            max_body_bytes=max_body_bytes,
            callback_secret_env=callback_secret_env,
        )
        self.store.add_api_key(made.key)
        return made

    def api_keys(self) -> list[ApiKey]:
        """Returns all API keys by name. One whose record is unreadable matches no secret, and has no scope."""
        return self.store.api_keys()

    def admit(self, key: ApiKey) -> Admission:
        """Counts a request against the `requests_per_minute` of its key, or says how long the caller has to wait.

        An idle caller may make all requests of a minute at once, and then one in each further part of a minute.
        """
        return self.store.admit(key)

    def revoke_api_key(self, name: str) -> None:
        """Deletes an API key. Its caller's jobs continue. Raises ApiKeyNotFound."""
        self.store.delete_api_key(name)

    def wake(self, endpoint: str, run_id: str) -> bool:
        """Has the job polled that awaits a run, because a webhook of its endpoint says that the run has ended.

        Call it for verified webhooks only, such as `response.completed`; the gateway does. Returns False if no job
        awaits the run; one that does soon is polled then.
        """
        return self.store.wake(endpoint, run_id)

    def wake_batch(self, endpoint: str, batch_id: str) -> bool:
        """Has a remote batch of the batch lane polled, because a webhook says that it has ended.

        Returns False if no worker of the endpoint has read earlier ones.
        """
        return self.store.wake_batch(endpoint, batch_id)
