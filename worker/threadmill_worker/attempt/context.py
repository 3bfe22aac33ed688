"""Opens the context of an attempt. Each endpoint has one client and one tool executor, made on first use."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from threadmill.errors import InvalidJob, SettingsError
from threadmill.job.prompt import PromptJob
from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings
from threadmill.store.records import JobRecord
from threadmill.store.remote_records import KeptThread
from threadmill_worker.attempt.attempt import AttemptContext
from threadmill_worker.drivers.assistants.driver import AssistantsDriver
from threadmill_worker.drivers.assistants.events import ASSISTANTS
from threadmill_worker.drivers.batch_api import RemoteBatches
from threadmill_worker.drivers.client import Client, connect
from threadmill_worker.drivers.driver import Driver, JobSpec
from threadmill_worker.drivers.files import FileTransfer
from threadmill_worker.drivers.responses.capabilities import Capabilities
from threadmill_worker.drivers.responses.driver import ResponsesDriver
from threadmill_worker.drivers.responses.events import RESPONSES
from threadmill_worker.drivers.streaming.stream import EventStream, StreamSlots
from threadmill_worker.files.artifacts import ArtifactStore
from threadmill_worker.files.attachments import Attachments, load_attachments
from threadmill_worker.lifecycle.batch_lane import remedy
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.lifecycle.recovery.context import no_context
from threadmill_worker.lifecycle.recovery.discounts import limits_in_lane
from threadmill_worker.live import EventBuffer, EventPublisher
from threadmill_worker.store.jobs import Ledger, UnreadableThread
from threadmill_worker.tools.executor import ToolExecutor
from threadmill_worker.tools.registry import ToolRegistry
from threadmill_worker.tools.tool import ToolsAway


class NotServed(Exception):
    """This worker cannot execute the job; `failure` holds the reason and the remedy."""

    def __init__(self, kind: FailureKind, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.failure = Failure(kind=kind, message=message, retryable=retryable)


class _Connection(NamedTuple):
    endpoint: Endpoint
    client: Client
    executor: ToolExecutor
    slots: StreamSlots
    capabilities: Capabilities


class Contexts:
    """Opens the contexts of jobs; raises NotServed if the worker's settings lack something.

    Raises SettingsError at once if the key of an endpoint cannot be sent.
    """

    def __init__(self, settings: Settings, registry: ToolRegistry, ledger: Ledger, live: EventPublisher) -> None:
        settings.check_keys()
        self._settings = settings
        self._registry = registry
        self._ledger = ledger
        self._transfer = FileTransfer(ArtifactStore(settings.artifacts, settings.artifact_limit_bytes))
        self._live = live
        self._open: dict[str, _Connection] = {}

    @property
    def ready(self) -> list[str]:
        """The endpoints whose key is set, or that need none."""
        return [name for name, endpoint in self._settings.endpoints.items() if not endpoint.missing_key()]

    def cleanup_driver(self, name: str) -> Driver:
        """A driver without a job, which deletes leftovers. Raises NotServed."""
        if name not in self._settings.endpoints:
            raise NotServed(FailureKind.REJECTED, f"this worker has no endpoint {name!r}")
        return self._driver(self._opened(name), JobSpec("", PromptJob(prompt="-")), EventBuffer())

    async def open(self, record: JobRecord) -> AttemptContext:
        job = record.job
        try:
            name = self._settings.endpoint_name(job.endpoint)
            connection = self._opened(name)
            endpoint, executor = connection.endpoint, connection.executor
            attachments = await load_attachments(job, endpoint, self._settings)
            tools = await executor.definitions(_with_those_of_files(job, self._tools_of(job, endpoint)))
        except SettingsError as error:
            raise NotServed(FailureKind.REJECTED, f"this worker cannot serve the job: {error}") from None
        except KeyError as error:
            message = f"this worker has no tool {error}; add it to [tools], or its MCP server to [mcp]"
            raise NotServed(FailureKind.REJECTED, message) from None
        except ToolsAway as error:
            raise NotServed(FailureKind.UNREACHABLE, str(error)) from None
        except InvalidJob as error:
            raise NotServed(FailureKind.REJECTED, str(error), retryable=False) from None
        spec = JobSpec(record.id, job, tools=tools, attachments=attachments, life=len(record.history))
        features = replace(features_of(job, endpoint, self._settings, attachments), functions=_functions(tools))
        is_in_lane = False
        if endpoint.wire == "responses":
            spec = await self._with_model(spec, name, endpoint, features)
            features = replace(features, has_transcript=job.thread is None or _has_transcript(spec.kept))
            is_in_lane = job.lane == "batch" and self._takes_lane(record, name, endpoint, unfit=_unfit(tools, features))
        else:
            spec = await self._with_assistant(spec, name, endpoint, features)
        feed = self._live.open(record.id)  # last: who is not served leaves none open
        slots = connection.slots if job.stream and endpoint.streaming else None
        driver = self._driver(connection, spec, feed, slots, features.model)
        limits = limits_in_lane(endpoint, job.lane)
        context = AttemptContext(name, driver, executor, limits, spec.assistant, features, attachments, feed)
        if is_in_lane and isinstance(driver, ResponsesDriver):
            return replace(context, lane=f"{name}/{spec.model}", request=driver.request)
        return context

    async def _with_model(self, spec: JobSpec, name: str, endpoint: Endpoint, features: Features) -> JobSpec:
        """The job as each run of the Responses API states it: with its model, and what it knows of its thread."""
        job = spec.job
        try:
            kept = await self._ledger.kept_thread(name, job.thread) if job.thread else None
        except UnreadableThread as error:
            raise NotServed(FailureKind.UNREADABLE, str(error), retryable=False) from None
        if kept is not None and kept.latest == "" and not _has_transcript(kept):
            raise NotServed(FailureKind.UNSUPPORTED, no_context().message, retryable=False)
        instructions = self._settings.instructions_of(job, endpoint)
        return replace(spec, model=features.model, instructions=instructions, profile=self._profile(job), kept=kept)

    async def _with_assistant(self, spec: JobSpec, name: str, endpoint: Endpoint, features: Features) -> JobSpec:
        """The job on an assistant, which has its own model and instructions.

        Those that the endpoint names go with each run, as some servers need them.
        """
        job = spec.job
        return replace(
            spec,
            assistant=await self._assistant(job, name, endpoint),
            model=features.model if endpoint.model else job.model,
            instructions=self._settings.instructions_of(job, endpoint) if endpoint.instructions else job.instructions,
        )

    def _driver(
        self,
        connection: _Connection,
        spec: JobSpec,
        feed: EventBuffer,
        slots: StreamSlots | None = None,
        model: str | None = None,
    ) -> AssistantsDriver | ResponsesDriver:
        """`model`: the one that will answer, as far as it is known; servers may refuse to stream it."""
        endpoint, client = connection.endpoint, connection.client
        if endpoint.wire == "responses":
            stream = EventStream(feed, endpoint, RESPONSES, slots, model)
            return ResponsesDriver(client, endpoint, spec, self._transfer, stream, connection.capabilities)
        stream = EventStream(feed, endpoint, ASSISTANTS, slots, model)
        return AssistantsDriver(client, endpoint, spec, self._transfer, stream)

    def _takes_lane(self, record: JobRecord, name: str, endpoint: Endpoint, *, unfit: str | None) -> bool:
        """Whether the batch lane starts the job's runs; else they cost the full price. Raises NotServed."""
        if endpoint.lane_fallback == "full_price":
            now = self._ledger.clock.moment()
            return unfit is None and record.progress is None and not _is_due_within_a_day(record.job, now)
        if unfit is not None and record.progress is None:
            message = f"the batch lane takes single questions, and this job {unfit}: {remedy(name)}"
            raise NotServed(FailureKind.REJECTED, message, retryable=False)
        return unfit is None

    def batches(self, name: str) -> RemoteBatches:
        """The Batch API of an endpoint whose key is set."""
        endpoint, client, *_ = self._opened(name)
        return RemoteBatches(client, endpoint)

    def _tools_of(self, job: PromptJob, endpoint: Endpoint) -> Sequence[str | dict[str, Any]] | None:
        """The tools of a job; None: those of the remote assistant."""
        if endpoint.wire == "assistants" or job.tools is not None:
            return job.tools
        profile = self._profile(job)
        return profile.tools if profile else ()

    def _profile(self, job: PromptJob) -> Profile | None:
        if job.profile is None:
            return None
        if job.profile not in self._settings.profiles:
            raise NotServed(FailureKind.REJECTED, f"this worker has no profile {job.profile!r}; add it to [profiles]")
        return self._settings.profiles[job.profile]

    async def _assistant(self, job: PromptJob, name: str, endpoint: Endpoint) -> str:
        if job.profile is not None:
            applied = await self._ledger.assistant_of(name, job.profile)
            if applied is None:
                message = f"profile {job.profile!r} is not applied to endpoint {name!r}: threadmill assistants apply"
                raise NotServed(FailureKind.REJECTED, message)
            return applied
        assistant = job.assistant or endpoint.assistant
        if assistant:
            return assistant
        raise NotServed(FailureKind.REJECTED, f"no assistant: neither the job nor endpoint {name!r} names one")

    def _opened(self, name: str) -> _Connection:
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
            slots = StreamSlots(endpoint.max_connections // 2)
            capabilities = Capabilities(background=endpoint.background)
            self._open[name] = _Connection(endpoint, connect(endpoint), executor, slots, capabilities)
        return self._open[name]

    async def close(self) -> None:
        for each in self._open.values():
            await each.client.close()
            await each.executor.close()
        await self._registry.close()


def _with_those_of_files(
    job: PromptJob, tools: Sequence[str | dict[str, Any]] | None
) -> list[str | dict[str, Any]] | None:
    """The job's tools and the tools that its files need; None, the assistant's own tools, stays None."""
    if tools is None:
        return None
    return [*tools, *(tool for file in job.files for tool in file.tools)]


def _functions(tools: Sequence[dict[str, Any]] | None) -> tuple[str, ...]:
    """The names of the functions among tool definitions."""
    functions = [tool["function"] for tool in tools or () if isinstance(tool.get("function"), dict)]
    return tuple(str(function.get("name")) for function in functions)


def _has_transcript(kept: KeptThread | None) -> bool:
    return kept is not None and kept.transcript is not None


def _unfit(tools: Sequence[Any] | None, features: Features) -> str | None:
    """Why the batch lane cannot take a job."""
    return "has tools, from its profile" if tools else "has files to upload" if features.uploads else None


def _is_due_within_a_day(job: PromptJob, now: datetime) -> bool:
    """A remote batch may take that long."""
    return job.deadline_at is not None and job.deadline_at < now + timedelta(days=1)


def features_of(job: PromptJob, endpoint: Endpoint, settings: Settings, attachments: Attachments) -> Features:
    """The features that the job uses besides its messages."""
    notes = job.additional_instructions or endpoint.current_time_note  # which POST /threads/runs does not take
    return Features(
        uploads=len(attachments.uploads),
        search=any("file_search" in file.tools for file in job.files),
        file_tools=tuple(dict.fromkeys(tool for file in job.files for tool in file.tools)),
        at_once=endpoint.create_and_run and not notes,
        continues=job.thread is not None,
        keep_thread=job.keep_thread,
        steps=job.include_steps,
        response_format=job.response_format,
        model=settings.model_of(job, endpoint),
        lane=job.lane,
    )
