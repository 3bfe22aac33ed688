"""The Assistants API (v2): MediaTek DaVinci, self-hosted servers and gateways, Azure's classic API, the emulator."""

from collections.abc import Sequence
from functools import partial
from typing import Any, assert_never

import openai

from threadmill_worker.drivers.assistants.events import ASSISTANTS
from threadmill_worker.drivers.assistants.message_order import answers_of
from threadmill_worker.drivers.assistants.remote_objects import AssistantsObjects
from threadmill_worker.drivers.assistants.replies import blocks_of, parse_run, parse_step, store_of
from threadmill_worker.drivers.assistants.requests import Requests
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.base.polled_driver import PolledDriver
from threadmill_worker.drivers.http.api import Reply
from threadmill_worker.drivers.http.calls import Post
from threadmill_worker.drivers.replies.json import NotTheApi, parse_id
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import current_time_note
from threadmill_worker.drivers.requests.tags import is_tagged
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    AttachStore,
    CancelRun,
    CreateThread,
    InspectThread,
    PollRun,
    ReadAnswer,
    ReadSteps,
    RunAction,
    StartRun,
    SubmitOutputs,
    ThreadAction,
    Unlock,
)
from threadmill_worker.lifecycle.observations import (
    AnswerRead,
    MessageAdded,
    NothingFound,
    Observation,
    RunObservation,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    Unlocked,
    Untraceable,
)
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.live.buffer import EventBuffer

#: Passages that a search found are included only on request.
_WITH_PASSAGES = "step_details.tool_calls[*].file_search.results[*].content"


class AssistantsDriver(PolledDriver):
    """Makes the calls of one job."""

    events = ASSISTANTS
    objects = AssistantsObjects

    def __init__(self, connection: Connection, spec: JobSpec, buffer: EventBuffer) -> None:
        super().__init__(connection, spec, buffer)
        self._requests = Requests(spec)

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        return ThreadState("thread")

    async def _do_on_thread(self, action: ThreadAction, progress: Progress) -> Observation:
        thread = progress.thread_id or ""
        match action:
            case InspectThread():
                reply = await self._api.call(self._http.get("threads", thread))
                return ThreadSeen(store_of(reply.body))
            case AttachStore(store_id):
                body = {"tool_resources": self._requests.resources(progress)}
                await self._api.call(self._http.post("threads", thread, body=body))
                return StoreSeen(store_id, ready=True)
            case CreateThread(messages, run):
                return await self._create_thread(messages, run, progress)
            case AddMessage(index):
                body = await self._requests.message(index, progress)
                await self._api.call(self._http.post("threads", thread, "messages", body=body))
                return MessageAdded()
            case Unlock(run_id):
                await self._api.call(self._http.post("threads", thread, "runs", run_id, "cancel"))
                return Unlocked()
            case _:
                assert_never(action)

    async def _create_thread(self, messages: int, run: int | None, progress: Progress) -> ThreadCreated:
        thread = await self._requests.thread(messages, progress)
        if run is None:
            return ThreadCreated(parse_id((await self._api.call(self._http.post("threads", body=thread))).body))
        body = self._requests.run(run, progress, current_time_note(self._endpoint))
        reply = await self._stream.open(self._api, Post(("threads", "runs"), {"thread": thread, **body}))
        thread_id = reply.body.get("thread_id")
        if not isinstance(thread_id, str):
            raise NotTheApi("the reply names no thread")
        return ThreadCreated(thread_id, self._run_in(reply))

    async def _do_on_run(self, action: RunAction, progress: Progress) -> Observation:
        thread = progress.thread_id or ""
        match action:
            case StartRun(ordinal):
                body = self._requests.run(ordinal, progress, current_time_note(self._endpoint))
                return self._run_in(await self._stream.open(self._api, Post(("threads", thread, "runs"), body)))
            case PollRun(run_id):
                return await self._poll(thread, run_id)
            case SubmitOutputs(run_id, outputs):
                return await self._submit(thread, run_id, outputs)
            case CancelRun(run_id):
                return await self._cancel(thread, run_id)
            case ReadAnswer(run_id):
                return await self._read_answer(thread, run_id, progress.run.seen.created_at if progress.run else None)
            case ReadSteps(run_id):
                return await self._read_steps(thread, run_id)
            case _:
                assert_never(action)

    async def _poll(self, thread: str, run_id: str) -> RunObservation:
        return self._run_in(await self._api.call(self._http.get("threads", thread, "runs", run_id)))

    async def _submit(self, thread: str, run_id: str, outputs: dict[str, str]) -> RunObservation:
        listed = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
        submission = Post(("threads", thread, "runs", run_id, "submit_tool_outputs"), {"tool_outputs": listed})
        try:
            return self._run_in(await self._stream.open(self._api, submission))
        except (openai.BadRequestError, openai.NotFoundError):
            # The outputs are late, or were accepted before: the run shows which. If it still waits, they were rejected.
            run = await self._poll(thread, run_id)
            if {call.id for call in run.calls} == outputs.keys():
                raise
            return run

    async def _cancel(self, thread: str, run_id: str) -> RunObservation:
        await self._stream.close()
        try:
            return self._run_in(await self._api.call(self._http.post("threads", thread, "runs", run_id, "cancel")))
        except (openai.BadRequestError, openai.NotFoundError):
            # "Cannot cancel run with status ...", or the server cannot cancel runs: the run shows which.
            return await self._poll(thread, run_id)

    async def _read_answer(self, thread: str, run_id: str, since: float | None) -> AnswerRead:
        query = {"run_id": run_id} if self._endpoint.supports.run_id_filter else {}
        list_messages = partial(self._http.get, "threads", thread, "messages")
        messages = [each async for each in self._api.pages(list_messages, order="asc", **query)]
        answers = answers_of(run_id, messages, since)
        return AnswerRead(tuple(block for message in answers for block in blocks_of(message)))

    async def _read_steps(self, thread: str, run_id: str) -> StepsRead:
        list_steps = partial(self._http.get, "threads", thread, "runs", run_id, "steps")
        steps = self._api.pages(list_steps, order="asc", include=[_WITH_PASSAGES])
        return StepsRead(tuple([each async for step in steps for each in parse_step(step)]))

    async def _find_thread(self, progress: Progress) -> Observation:
        return Untraceable()  # no server lists threads

    async def _find_message(self, progress: Progress) -> Observation:
        newest = self._http.get("threads", progress.thread_id or "", "messages", order="desc", limit=100)
        for message in await self._api.entries(newest):
            if is_tagged(message, self._spec.tag, f"message-{progress.messages_sent}"):
                return MessageAdded()
        return NothingFound()

    async def _find_run(self, progress: Progress) -> Observation:
        newest = self._http.get("threads", progress.thread_id or "", "runs", limit=100)
        for run in await self._api.entries(newest):
            if is_tagged(run, self._spec.tag, f"run-{progress.runs + 1}"):
                return parse_run(run)
        return NothingFound()

    async def _find_outputs(self, progress: Progress) -> Observation:
        """Polls the run, which shows whether it has received the outputs."""
        return await self._poll(progress.thread_id or "", progress.run.id) if progress.run else NothingFound()

    def _run_in(self, reply: Reply) -> RunObservation:
        return self._stream.paced(parse_run(reply.body, reply.headers.get("openai-poll-after-ms")))
