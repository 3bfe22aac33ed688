"""The base class of the drivers of all wires."""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, assert_never

from threadmill.errors import InvalidJob
from threadmill.job.result import Failure, FailureKind
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.drivers.files import Files
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.replies.rate_limits import RateInfo, read_rate_info
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.actions import (
    AttachStore,
    CreateStore,
    CreateThread,
    Delete,
    Download,
    FileAction,
    NameFile,
    PollStore,
    ReadSteps,
    RemoteAction,
    Resolve,
    RunAction,
    StartRun,
    ThreadAction,
    Upload,
)
from threadmill_worker.lifecycle.observations import CallError, Observation, Rejected, Untraceable
from threadmill_worker.lifecycle.progress import Intent, Progress
from threadmill_worker.live.buffer import EventBuffer


class WireDriver(ABC):
    """See `Driver`. Its runs have no event streams; PolledDriver adds them.

    `buffer` receives the text that the job's runs write.
    """

    objects: ClassVar[type[RemoteObjects]]
    awaits_run = False

    def __init__(self, connection: Connection, spec: JobSpec, buffer: EventBuffer) -> None:
        self._api = connection.api()
        self._http = connection.client.http
        self._endpoint = connection.endpoint
        self._spec = spec
        self._files = Files(self._api, spec, connection.transfer)
        self._buffer = buffer
        self._objects = self.objects(self._api, connection.undeletable)

    @property
    def calls(self) -> int:
        return self._api.calls

    @property
    def rate_info(self) -> RateInfo | None:
        return read_rate_info(self._api.headers)

    @property
    def has_stream(self) -> bool:
        return False

    async def run_changed(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        return None

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        try:
            return await self._do(action, progress)
        except InvalidJob as error:  # a local file has changed since it was checked
            return Rejected(Failure(kind=FailureKind.REJECTED, message=str(error)))
        except CALL_ERRORS as error:
            return self._call_error(error, action, progress)

    def _call_error(self, error: Exception, action: RemoteAction, progress: Progress) -> CallError:
        return call_error_of(error, _target_of(action))

    async def _do(self, action: RemoteAction, progress: Progress) -> Observation:
        if isinstance(action, FileAction):
            return await self._files.do(action, progress)
        if isinstance(action, ThreadAction):
            return await self._do_on_thread(action, progress)
        if isinstance(action, RunAction):
            return await self._do_on_run(action, progress)
        match action:
            case Resolve(intent):
                return await self._resolve(intent, progress)
            case Delete(leftover):
                return await self._objects.delete(leftover)
            case _:
                assert_never(action)

    @abstractmethod
    async def _do_on_thread(self, action: ThreadAction, progress: Progress) -> Observation: ...

    @abstractmethod
    async def _do_on_run(self, action: RunAction, progress: Progress) -> Observation: ...

    async def _resolve(self, intent: Intent, progress: Progress) -> Observation:
        """Finds out whether a call whose reply was lost took effect."""
        match intent:
            case Intent.UPLOAD:  # files carry no tag
                return Untraceable()
            case Intent.CREATE_STORE:
                return await self._files.find_store(progress)
            case Intent.CREATE_THREAD:
                return await self._find_thread(progress)
            case Intent.ADD_MESSAGE:
                return await self._find_message(progress)
            case Intent.START_RUN:
                return await self._find_run(progress)
            case Intent.SUBMIT_OUTPUTS:
                return await self._find_outputs(progress)
            case _:
                assert_never(intent)

    @abstractmethod
    async def _find_thread(self, progress: Progress) -> Observation: ...

    @abstractmethod
    async def _find_message(self, progress: Progress) -> Observation: ...

    @abstractmethod
    async def _find_run(self, progress: Progress) -> Observation: ...

    @abstractmethod
    async def _find_outputs(self, progress: Progress) -> Observation: ...


def _target_of(action: RemoteAction) -> Target:
    match action:
        case Upload() | CreateStore():
            return Target.COLLECTION
        case CreateThread():
            return Target.THREADS
        case StartRun():
            return Target.RUNS
        case PollStore() | AttachStore() | Download() | NameFile() | ReadSteps():
            return Target.DETAIL
        case _:
            return Target.OBJECT
