"""Opens the context of an attempt. Each key has one connection and one tool executor, created on first use."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.pool_name import Pool, pool_name
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill.settings.pools import limits_of, pools_of
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.job_key import key_of
from threadmill_worker.attempt.context.job_spec import JobResolver
from threadmill_worker.attempt.context.moving import impatient, may_go_elsewhere
from threadmill_worker.attempt.context.not_served import NotServed, raising_not_served
from threadmill_worker.attempt.context.polling import JobPolling
from threadmill_worker.drivers.assistants.driver import AssistantsDriver
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import Driver
from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.drivers.batch_api import BATCHED, RemoteBatches
from threadmill_worker.drivers.chat.driver import ChatDriver
from threadmill_worker.drivers.files import FileTransfer
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.responses.driver import ResponsesDriver
from threadmill_worker.files.artifacts import ArtifactStore
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.steps.recovery.discounts import limits_in_lane
from threadmill_worker.limits.job_pool import JobPool
from threadmill_worker.live.buffer import EventBuffer
from threadmill_worker.live.publisher import EventPublisher
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.store.durations import DurationStore
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.store.webhooks import WebhookStore
from threadmill_worker.tools.executor import ToolExecutor
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tracing.runs import RunSpans
from threadmill_worker.tracing.subject import Subject

#: The driver of each wire.
DRIVERS: dict[str, type[AssistantsDriver | ResponsesDriver | ChatDriver]] = {
    "assistants": AssistantsDriver,
    "responses": ResponsesDriver,
    "chat": ChatDriver,
}


@dataclass(frozen=True)
class AttemptContext:
    """The objects that an attempt needs besides the record of its job."""

    spec: JobSpec
    driver: Driver
    executor: ToolExecutor
    limits: RunLimits
    events: EventBuffer
    pool: JobPool  #: what its calls take from
    may_go_elsewhere: bool = False  #: another endpoint may run the job
    polling: JobPolling = field(default_factory=JobPolling)
    spans: RunSpans = field(default_factory=RunSpans)
    metrics: Metrics = UNCOUNTED


class _Open(NamedTuple):
    connection: Connection
    executor: ToolExecutor


class Contexts:
    """Opens the contexts of jobs. Methods that take a job or an endpoint raise NotServed if they cannot be served.

    `webhooks`: whether they say when runs end; default: this process receives none. Raises SettingsError if the key of
    an endpoint has characters that cannot be sent.
    """

    def __init__(
        self,
        settings: Settings,
        registry: ToolRegistry,
        job_store: JobStore,
        live: EventPublisher,
        webhooks: WebhookStore | None = None,
        metrics: Metrics = UNCOUNTED,
    ) -> None:
        settings.check_keys()
        self._settings = settings
        self._registry = registry
        self._resolver = JobResolver(settings, job_store)
        self._job_store = job_store
        self._durations = DurationStore(settings, job_store.redis)
        self._transfer = FileTransfer(ArtifactStore(settings.artifacts, settings.artifact_limit_bytes))
        self._live = live
        self._webhooks = webhooks
        self._metrics = metrics
        self._open: dict[tuple[str, str | None], _Open] = {}  #: by endpoint and variable with the key

    @property
    def ready(self) -> list[str]:
        """The endpoints whose keys are set, or that need none."""
        return [name for name, endpoint in self._settings.endpoints.items() if not endpoint.missing_key()]

    async def open(self, record: JobRecord) -> AttemptContext:
        spec = await self._resolve(record)
        connection, executor = self._opened(spec.endpoint, spec.key)
        limits = limits_in_lane(connection.endpoint, record.job.lane)
        if elsewhere := may_go_elsewhere(self._settings, record):
            limits = impatient(limits)
        polling = await self._polling(spec)
        events = self._live.open(record.id)  # last, so that a job that is not served leaves no buffer open
        driver = DRIVERS[connection.endpoint.wire](connection, spec, events)
        subject = Subject(
            self._settings.queue, spec.job, connection.endpoint, spec.assistant, spec.model, spec.instructions
        )
        pool = self._pool(record, spec)
        spans, metrics = RunSpans(subject), self._metrics
        return AttemptContext(spec, driver, executor, limits, events, pool, elsewhere, polling, spans, metrics)

    async def batch_request(self, record: JobRecord, progress: Progress) -> dict[str, Any] | None:
        """Returns the job's next run as a request of the Batch API. None: the batch lane does not start it."""
        spec = await self._resolve(record)
        if spec.batch_lane is None:
            return None
        connection = self.connection(spec.endpoint, spec.key)
        return await BATCHED[connection.endpoint.wire].request(connection, spec, progress)

    def batches(self, name: str, key: str | None = None) -> RemoteBatches:
        """The Batch API of an endpoint. `key`: as in `connection`."""
        return RemoteBatches(self.connection(name, key).api())

    def remote_objects(self, name: str, key: str | None = None) -> RemoteObjects:
        """The remote objects on the server of an endpoint. `key`: as in `connection`."""
        if name not in self._settings.endpoints:
            raise NotServed(FailureKind.REJECTED, f"this worker has no endpoint {name!r}")
        connection = self.connection(name, key)
        return DRIVERS[connection.endpoint.wire].objects(connection.api(), connection.undeletable)

    def connection(self, name: str, key: str | None = None) -> Connection:
        """The connection of an endpoint. `key`: the variable with its key; default: the first of the endpoint's."""
        return self._opened(name, key).connection

    def _pool(self, record: JobRecord, spec: JobSpec) -> JobPool:
        """The pool that the job was dispatched to; if it came in a message of others, the first that it may use.

        If the job has to use another key than that of this pool, it is the pool of the same model with that key.
        """
        name = record.pool or pools_of(self._settings, record.job)[0]
        if spec.key is not None:
            name = pool_name(*Pool.parse(name)._replace(key=spec.key))
        return JobPool(name, spec, self._settings.endpoints[spec.endpoint].limits, limits_of(self._settings, name))

    async def _polling(self, spec: JobSpec) -> JobPolling:
        """When to poll the runs of a job. Nothing is learned in a lane: what runs take there depends on the hour."""
        has_webhooks = self._webhooks is not None and self._webhooks.has(spec.endpoint)
        arriving = partial(self._webhooks.are_arriving, spec.endpoint) if self._webhooks and has_webhooks else None
        ran = partial(self._metrics.run_ended, spec.endpoint)
        if spec.job.lane is not None:
            return JobPolling(arriving=arriving, ran=ran)
        name = f"{spec.endpoint}/{spec.assistant}/{spec.model or ''}"
        if spec.job.service_tier is not None:  # its runs are faster
            name = f"{name}/{spec.job.service_tier}"
        return JobPolling(await self._durations.plan(name), partial(self._durations.add, name), arriving, ran)

    async def _resolve(self, record: JobRecord) -> JobSpec:
        with raising_not_served():
            name = self._settings.endpoint_name(record.endpoint)
            key = await key_of(record, name, self._settings.endpoints[name], self._job_store)
            executor = self._opened(name, key).executor
        return await self._resolver.resolve(record, name, key, executor)

    def _opened(self, name: str, key: str | None) -> _Open:
        endpoint = self._settings.endpoints[name]
        variable = key or next(iter(endpoint.key_variables), None)
        if (name, variable) not in self._open:
            _check_keys(name, endpoint, variable)
            executor = ToolExecutor(self._registry, endpoint, endpoint.read_key(variable), self._metrics)
            connection = Connection.open(name, endpoint, self._transfer, variable, self._metrics)
            self._open[name, variable] = _Open(connection, executor)
        return self._open[name, variable]

    async def close(self) -> None:
        for each in self._open.values():
            await each.connection.client.close()
            await each.executor.close()
        await self._durations.close()
        await self._registry.close()


def _check_keys(name: str, endpoint: Endpoint, variable: str | None) -> None:
    """Raises NotServed if the endpoint lacks a key, or no longer has the key in this variable."""
    if variable is not None and variable not in endpoint.key_variables:
        message = f"the remote objects belong to the key in {variable}: add it to api_key_envs of endpoint {name!r}"
        raise NotServed(FailureKind.UNAUTHORISED, message)
    missing = endpoint.missing_key()
    if missing:
        message = (
            f"endpoint {name!r} needs its key in {missing}: set it in the worker's environment, then restart the worker"
        )
        raise NotServed(FailureKind.UNAUTHORISED, message)
