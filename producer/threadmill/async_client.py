"""The client for programs on asyncio: the methods of Client, awaited.

async with AsyncClient() as client:
    handle = await client.enqueue("Summarise: ...")
    print((await handle.wait(timeout_s=600)).text)
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from threadmill.client import Client, JobHandle
from threadmill.errors import ClientClosed, StoreUnavailable
from threadmill.job.events.event import Event
from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobResult, JobState
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.watching.watcher import Watcher

#: Calls that run at the same time; more wait for a thread. Waiting for a job and following it need none.
_THREADS = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class AsyncJobHandle:
    """An enqueued job; it may have been enqueued earlier, with the same idempotency key."""

    id: str
    state: JobState  #: when it was enqueued
    is_new: bool
    _client: "AsyncClient"

    async def get(self) -> JobRecord:
        """Returns the job's record: its state, and its result after it has ended."""
        return await self._client.get(self.id)

    async def wait(self, timeout_s: float | None = None) -> JobResult:
        """Waits until the job has ended and returns its result, also of a failed job. Raises WaitTimeout."""
        return await self._client.wait(self.id, timeout_s)

    def events(self, timeout_s: float | None = None, *, after: str | None = None) -> AsyncGenerator[Event, None]:
        """Yields the job's events until it has ended; see `AsyncClient.follow`."""
        return self._client.follow(self.id, timeout_s, after=after)

    async def cancel(self) -> JobState:
        """Cancels the job and returns its state now; see `Client.cancel`."""
        return await self._client.cancel(self.id)


def _awaited(
    method: Callable[Concatenate[Client, _P], _T],
) -> "Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]]":
    """Returns a method of AsyncClient that runs this method of Client in a thread."""

    @wraps(method)
    async def call(self: "AsyncClient", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._in_thread(partial(method, self._client, *args, **kwargs))

    return call


class AsyncClient:
    """Enqueues jobs and reads their results, as `Client` does, which documents each method and its errors.

    `settings`: default `Settings.load()`. Use it in one event loop, and close it there. Any number of tasks can read
    jobs, wait for them and follow them; all share two connections. Every other call runs in one of 16 threads: if its
    task is cancelled, the call may still take effect. After `close`, and in tasks that wait then, calls raise
    ClientClosed.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._client = Client(settings)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="threadmill")
        self._watcher: Watcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @property
    def settings(self) -> Settings:
        return self._client.settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. Waits for the calls in threads, and for nothing else."""
        self._is_closed = True
        if self._watcher is not None:
            await self._watcher.close()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._client.store.close()

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        if self._is_closed:
            raise ClientClosed
        run: Callable[..., _T] = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, call)

    async def call(self, function: Callable[[Client], _T]) -> _T:
        """Runs a function with the blocking client in a thread, for several calls in a row."""
        return await self._in_thread(partial(function, self._client))

    def _watching(self) -> Watcher:
        """Raises ClientClosed, and RuntimeError in another event loop than the first."""
        if self._is_closed:
            raise ClientClosed
        loop = asyncio.get_running_loop()
        if self._watcher is None:
            self._watcher, self._loop = Watcher(self.settings), loop
        if self._loop is not loop:
            raise RuntimeError("this AsyncClient is used in another event loop: make one in each loop")
        return self._watcher

    async def enqueue(self, job: PromptJob | Mapping[str, Any] | str) -> AsyncJobHandle:
        """Enqueues a job; see `Client.enqueue`."""
        return (await self.enqueue_many([job]))[0]

    async def enqueue_many(self, jobs: Iterable[PromptJob | Mapping[str, Any] | str]) -> list[AsyncJobHandle]:
        """Enqueues many jobs in a few round trips; see `Client.enqueue_many`."""
        try:
            handles = await self._in_thread(partial(self._client.enqueue_many, list(jobs)))
        except StoreUnavailable as error:
            error.enqueued = {at: self._handle(each) for at, each in error.enqueued.items()}
            raise
        return [self._handle(each) for each in handles]

    def _handle(self, made: JobHandle) -> AsyncJobHandle:
        return AsyncJobHandle(made.id, made.state, made.is_new, self)

    async def get(self, job_id: str) -> JobRecord:
        """Returns the job's record; see `Client.get`."""
        return await self._watching().get(job_id)

    async def wait(self, job_id: str, timeout_s: float | None = None) -> JobResult:
        """Waits until the job has ended and returns its result; see `Client.wait`."""
        return await self._watching().wait(job_id, timeout_s)

    def follow(
        self, job_id: str, timeout_s: float | None = None, *, after: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yields the job's events until it has ended; see `Client.follow`.

        To stop earlier, close the generator (`contextlib.aclosing`), or leave that to asyncio.
        """
        return self._watching().follow(job_id, timeout_s, after)

    ping = _awaited(Client.ping)
    check = _awaited(Client.check)
    waits_for = _awaited(Client.waits_for)
    cancel = _awaited(Client.cancel)
    withdraw = _awaited(Client.withdraw)
    redrive = _awaited(Client.redrive)
    delete = _awaited(Client.delete)
    jobs = _awaited(Client.jobs)
    job_page = _awaited(Client.job_page)
    open_jobs = _awaited(Client.open_jobs)
    unreadable_jobs = _awaited(Client.unreadable_jobs)
    batches = _awaited(Client.batches)
    batch = _awaited(Client.batch)
    batch_page = _awaited(Client.batch_page)
    fleet = _awaited(Client.fleet)
    overview = _awaited(Client.overview)
    first_job = _awaited(Client.first_job)
    batch_place = _awaited(Client.batch_place)
    batch_stats = _awaited(Client.batch_stats)
    batch_rates = _awaited(Client.batch_rates)
    stats = _awaited(Client.stats)
    failure_counts = _awaited(Client.failure_counts)
    ended_jobs = _awaited(Client.ended_jobs)
    pause = _awaited(Client.pause)
    resume = _awaited(Client.resume)
    limit_batch = _awaited(Client.limit_batch)
    set_batch_callback = _awaited(Client.set_batch_callback)
    callbacks = _awaited(Client.callbacks)
    retry_callbacks = _awaited(Client.retry_callbacks)
    drop_callbacks = _awaited(Client.drop_callbacks)
    cancel_batch = _awaited(Client.cancel_batch)
    redrive_batch = _awaited(Client.redrive_batch)
    threads = _awaited(Client.threads)
    thread = _awaited(Client.thread)
    thread_page = _awaited(Client.thread_page)
    thread_jobs = _awaited(Client.thread_jobs)
    delete_thread = _awaited(Client.delete_thread)
    jobs_on_thread = _awaited(Client.jobs_on_thread)
    applied_profiles = _awaited(Client.applied_profiles)
    leftovers = _awaited(Client.leftovers)
    retry_leftovers = _awaited(Client.retry_leftovers)
    dead_letters = _awaited(Client.dead_letters)
    clear_dead_letters = _awaited(Client.clear_dead_letters)
    workers = _awaited(Client.workers)
    failing_endpoints = _awaited(Client.failing_endpoints)
    pools = _awaited(Client.pools)
    endpoint_pools = _awaited(Client.endpoint_pools)
    awaited_pools = _awaited(Client.awaited_pools)
    run_durations = _awaited(Client.run_durations)
    pause_endpoint = _awaited(Client.pause_endpoint)
    resume_endpoint = _awaited(Client.resume_endpoint)
    create_api_key = _awaited(Client.create_api_key)
    api_keys = _awaited(Client.api_keys)
    revoke_api_key = _awaited(Client.revoke_api_key)
    admit = _awaited(Client.admit)
    wake = _awaited(Client.wake)
    wake_batch = _awaited(Client.wake_batch)
