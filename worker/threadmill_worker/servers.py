"""The endpoints this process serves: one client and one toolbox each, made on first use."""

from collections.abc import Mapping
from typing import NamedTuple

from threadmill.endpoint import Endpoint
from threadmill.errors import SettingsError
from threadmill.job import PromptJob
from threadmill.record import JobRecord
from threadmill.result import Failure, FailureKind
from threadmill.settings import Settings
from threadmill_worker.drivers.assistants import AssistantsDriver
from threadmill_worker.drivers.connection import Client, api_key, connect
from threadmill_worker.drivers.driver import Driver
from threadmill_worker.functions import FunctionTool
from threadmill_worker.runner import Server
from threadmill_worker.tools import Toolbox


class NotServed(Exception):
    """This worker cannot send the job anywhere; `failure` says why and what to do."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(kind=kind, message=message, retryable=True)


class _Open(NamedTuple):
    endpoint: Endpoint
    client: Client
    toolbox: Toolbox


class Servers:
    """Opens what a job needs; raises NotServed for what the settings of this worker lack."""

    def __init__(self, settings: Settings, functions: Mapping[str, FunctionTool]) -> None:
        self._settings = settings
        self._functions = functions
        self._open: dict[str, _Open] = {}

    @property
    def ready(self) -> list[str]:
        """The endpoints whose key this process has, or that need none."""
        return [name for name, endpoint in self._settings.endpoints.items() if not endpoint.missing_key()]

    def janitor(self, name: str) -> Driver:
        """A driver without a job, to delete things with; raises NotServed."""
        if name not in self._settings.endpoints:
            raise NotServed(FailureKind.REJECTED, f"this worker has no endpoint {name!r}")
        endpoint, client, _ = self._opened(name)
        return AssistantsDriver(client, endpoint, "", "", PromptJob(prompt="-"), None)

    def serve(self, record: JobRecord) -> Server:
        try:
            name = self._settings.endpoint_name(record.job.endpoint)
        except SettingsError as error:
            raise NotServed(FailureKind.REJECTED, f"this worker cannot serve the job: {error}") from None
        endpoint, client, toolbox = self._opened(name)
        assistant = record.job.assistant or endpoint.assistant
        if not assistant:
            raise NotServed(FailureKind.REJECTED, f"no assistant: neither the job nor endpoint {name!r} names one")
        try:
            tools = toolbox.definitions(record.job.tools)
        except KeyError as error:
            raise NotServed(FailureKind.REJECTED, f"this worker has no tool {error}; add it to [tools]") from None
        driver = AssistantsDriver(client, endpoint, assistant, record.id, record.job, tools)
        return Server(name, driver, toolbox, endpoint, assistant)

    def _opened(self, name: str) -> _Open:
        if name not in self._open:
            endpoint = self._settings.endpoints[name]
            variable = endpoint.missing_key()
            if variable:
                message = f"endpoint {name!r} needs its key in {variable}, which this worker's environment lacks"
                raise NotServed(FailureKind.UNAUTHORISED, message)
            toolbox = Toolbox(self._functions, endpoint, api_key(endpoint))
            self._open[name] = _Open(endpoint, connect(endpoint), toolbox)
        return self._open[name]

    async def close(self) -> None:
        for each in self._open.values():
            await each.client.close()
            await each.toolbox.close()
