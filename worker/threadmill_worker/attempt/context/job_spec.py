"""Resolves the defaults of a job: its model, assistant, tools and attachments, from the settings and from Redis."""

from collections.abc import Sequence
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.job.result import FailureKind
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill.store.records.remote import KeptThread
from threadmill_worker.attempt.context.batch_lane import batch_lane_of
from threadmill_worker.attempt.context.local_thread import check_local
from threadmill_worker.attempt.context.not_served import NotServed, raising_not_served
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.files.attachments import NONE, Attachments, load_attachments
from threadmill_worker.lifecycle.progress import Features
from threadmill_worker.lifecycle.steps.recovery.context import no_context
from threadmill_worker.store.jobs import JobStore
from threadmill_worker.tools.executor import ToolExecutor

Tools = list[dict[str, Any]]


class JobResolver:
    """Makes job specs. `resolve` raises NotServed."""

    def __init__(self, settings: Settings, job_store: JobStore) -> None:
        self._settings = settings
        self._job_store = job_store

    async def resolve(self, record: JobRecord, name: str, key: str | None, executor: ToolExecutor) -> JobSpec:
        """`name`: the name of the endpoint. `key`: the job's key. `executor`: has the tools of the settings."""
        job, endpoint = record.job, self._settings.endpoints[name]
        with raising_not_served():
            attachments = await load_attachments(job, name, self._settings)
            tools = await self._tools(job, endpoint, executor)
            kept = await self._kept_thread(job, name, endpoint)
        features = features_of(job, endpoint, self._settings, attachments=attachments, tools=tools, kept=kept)
        is_assistant = endpoint.has_assistants
        # An assistant has its own model and instructions. Those of the endpoint override them, if they are set.
        model = features.model if not is_assistant or endpoint.model else job.model
        instructions = self._settings.instructions_of(job, endpoint)
        return JobSpec(
            id=record.id,
            job=job,
            endpoint=name,
            features=features,
            assistant=await self._assistant(job, name, endpoint) if is_assistant else "",
            model=model,
            instructions=instructions if not is_assistant or endpoint.instructions else job.instructions,
            profile=None if is_assistant else self._profile(job),
            tools=tools,
            kept=kept,
            attachments=attachments,
            redrives=len(record.history),
            batch_lane=batch_lane_of(
                record, name, key, endpoint, features, self._job_store.clock, has_tools=bool(tools)
            ),
            key=key,
        )

    async def _tools(self, job: PromptJob, endpoint: Endpoint, executor: ToolExecutor) -> Tools | None:
        """Returns the definitions of the tools that the job and its files need. None: the assistant's own tools."""
        tools: Sequence[str | dict[str, Any]] | None = job.tools
        if tools is None:
            if endpoint.has_assistants:
                return None
            profile = self._profile(job)
            tools = profile.tools if profile else ()
        try:
            return await executor.definitions([*tools, *(tool for file in job.files for tool in file.tools)])
        except KeyError as error:
            message = f"this worker has no tool {error}; add it to [tools], or its MCP server to [mcp]"
            raise NotServed(FailureKind.REJECTED, message) from None

    async def _kept_thread(self, job: PromptJob, name: str, endpoint: Endpoint) -> KeptThread | None:
        """Returns the record of the thread that the job continues. The Assistants API needs none."""
        if job.thread is None or endpoint.has_assistants:
            return None
        kept = await self._job_store.kept_thread(name, job.thread)
        if endpoint.wire == "chat" or (kept is not None and kept.kind == "local"):
            check_local(job.thread, kept, name, endpoint)
        elif kept is not None and kept.latest == "" and kept.transcript is None:
            raise NotServed(FailureKind.UNSUPPORTED, no_context().message, retryable=False)
        return kept

    async def _assistant(self, job: PromptJob, name: str, endpoint: Endpoint) -> str:
        if job.profile is not None:
            applied = await self._job_store.applied(name, job.profile)
            if applied is None:
                message = f"profile {job.profile!r} is not applied to endpoint {name!r}: threadmill assistants apply"
                raise NotServed(FailureKind.REJECTED, message)
            return applied.id
        assistant = job.assistant or endpoint.assistant
        if assistant:
            return assistant
        raise NotServed(FailureKind.REJECTED, f"no assistant: neither the job nor endpoint {name!r} names one")

    def _profile(self, job: PromptJob) -> Profile | None:
        if job.profile is None:
            return None
        if job.profile not in self._settings.profiles:
            raise NotServed(FailureKind.REJECTED, f"this worker has no profile {job.profile!r}; add it to [profiles]")
        return self._settings.profiles[job.profile]


def features_of(
    job: PromptJob,
    endpoint: Endpoint,
    settings: Settings,
    *,
    attachments: Attachments = NONE,
    tools: Tools | None = None,
    kept: KeptThread | None = None,
) -> Features:
    """Returns the features of the job, for the lifecycle."""
    notes = job.additional_instructions or endpoint.current_time_note  # POST /threads/runs does not accept these
    functions = [tool["function"] for tool in tools or () if isinstance(tool.get("function"), dict)]
    is_kept_by_server = endpoint.has_assistants or job.thread is None
    return Features(
        uploads=len(attachments.uploads),
        search=any("file_search" in file.tools for file in job.files),
        file_tools=tuple(dict.fromkeys(tool for file in job.files for tool in file.tools)),
        functions=tuple(str(function.get("name")) for function in functions),
        at_once=endpoint.supports.create_and_run and not notes,
        messages_in_run=not endpoint.has_assistants,
        continues=job.thread is not None,
        has_transcript=is_kept_by_server or (kept is not None and kept.transcript is not None),
        keep_thread=job.keep_thread,
        steps=job.include_steps,
        response_format=job.response_format,
        model=settings.model_of(job, endpoint),
        lane=job.priced_as,
    )
