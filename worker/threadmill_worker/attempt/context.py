"""Opens the context of an attempt. Each endpoint has one connection and one tool executor, created on first use."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from threadmill.job.result import FailureKind
from threadmill.settings.run_limits import RunLimits
from threadmill.settings.settings import Settings
from threadmill.store.records import JobRecord
from threadmill_worker.attempt.job_spec import JobResolver
from threadmill_worker.attempt.not_served import NotServed, raising_not_served
from threadmill_worker.drivers.assistants.driver import AssistantsDriver
from threadmill_worker.drivers.batch_api import RemoteBatches
from threadmill_worker.drivers.connection import Connection
from threadmill_worker.drivers.driver import Driver
from threadmill_worker.drivers.files import FileTransfer
from threadmill_worker.drivers.job_spec import JobSpec
from threadmill_worker.drivers.remote_objects import RemoteObjects
from threadmill_worker.drivers.responses.driver import ResponsesDriver
from threadmill_worker.drivers.responses.requests import batch_request
from threadmill_worker.files.artifacts import ArtifactStore
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.recovery.discounts import limits_in_lane
from threadmill_worker.live import EventBuffer, EventPublisher
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.tools.executor import ToolExecutor
from threadmill_worker.tools.registry import ToolRegistry

#: The driver of each wire.
DRIVERS: dict[str, type[AssistantsDriver | ResponsesDriver]] = {
    "assistants": AssistantsDriver,
    "responses": ResponsesDriver,
}


@dataclass(frozen=True)
class AttemptContext:
    """The objects that an attempt needs besides the record of its job."""

    spec: JobSpec
    driver: Driver
    executor: ToolExecutor
    limits: RunLimits
    events: EventBuffer


class _Open(NamedTuple):
    connection: Connection
    executor: ToolExecutor


class Contexts:
    """Opens the contexts of jobs. Methods that take a job or an endpoint raise NotServed if they cannot be served.

    Raises SettingsError if the key of an endpoint has characters that cannot be sent.
    """

    def __init__(self, settings: Settings, registry: ToolRegistry, job_store: JobStore, live: EventPublisher) -> None:
        settings.check_keys()
        self._settings = settings
        self._registry = registry
        self._resolver = JobResolver(settings, job_store)
        self._transfer = FileTransfer(ArtifactStore(settings.artifacts, settings.artifact_limit_bytes))
        self._live = live
        self._open: dict[str, _Open] = {}

    @property
    def ready(self) -> list[str]:
        """The endpoints whose key is set, or that need none."""
        return [name for name, endpoint in self._settings.endpoints.items() if not endpoint.missing_key()]

    async def open(self, record: JobRecord) -> AttemptContext:
        spec = await self._resolve(record)
        connection, executor = self._opened(spec.endpoint)
        limits = limits_in_lane(connection.endpoint, record.job.lane)
        events = self._live.open(record.id)  # last, so that a job that is not served leaves no buffer open
        return AttemptContext(
            spec, DRIVERS[connection.endpoint.wire](connection, spec, events), executor, limits, events
        )

    async def batch_request(self, record: JobRecord, progress: Progress) -> dict[str, Any] | None:
        """Returns the job's next run as a request of the Batch API. None: the batch lane does not start it."""
        spec = await self._resolve(record)
        return None if spec.batch_lane is None else await batch_request(self.connection(spec.endpoint), spec, progress)

    def batches(self, name: str) -> RemoteBatches:
        """The Batch API of an endpoint."""
        return RemoteBatches(self.connection(name).api())

    def remote_objects(self, name: str) -> RemoteObjects:
        """The remote objects on the server of an endpoint."""
        if name not in self._settings.endpoints:
            raise NotServed(FailureKind.REJECTED, f"this worker has no endpoint {name!r}")
        connection = self.connection(name)
        return DRIVERS[connection.endpoint.wire].objects(connection.api(), connection.undeletable)

    def connection(self, name: str) -> Connection:
        """The connection of an endpoint."""
        return self._opened(name).connection

    async def _resolve(self, record: JobRecord) -> JobSpec:
        with raising_not_served():
            name = self._settings.endpoint_name(record.job.endpoint)
            executor = self._opened(name).executor
        return await self._resolver.resolve(record, name, executor)

    def _opened(self, name: str) -> _Open:
        if name not in self._open:
            endpoint = self._settings.endpoints[name]
            variable = endpoint.missing_key()
            if variable:
                message = (
                    f"endpoint {name!r} needs its key in {variable}: "
                    "set it in the worker's environment, then restart the worker"
                )
                raise NotServed(FailureKind.UNAUTHORISED, message)
            executor = ToolExecutor(self._registry, endpoint, endpoint.read_key())
            self._open[name] = _Open(Connection.open(name, endpoint, self._transfer), executor)
        return self._open[name]

    async def close(self) -> None:
        for each in self._open.values():
            await each.connection.client.close()
            await each.executor.close()
        await self._registry.close()
