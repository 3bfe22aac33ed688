"""The Assistants API (v2): MediaTek DaVinci, self-hosted servers and gateways, Azure's classic one, the emulator."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, assert_never

import openai
import openai.resources.beta.threads  # the SDK would import it on first use, in the middle of a job

from threadmill.errors import InvalidJob
from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoint import Endpoint
from threadmill_worker.drivers.api import Api, Reply
from threadmill_worker.drivers.assistants.message_order import answers_of
from threadmill_worker.drivers.assistants.replies import blocks_of, parse_run, parse_step, store_of
from threadmill_worker.drivers.assistants.requests import Requests
from threadmill_worker.drivers.client import Client
from threadmill_worker.drivers.driver import JobSpec, ThreadState, current_time_note
from threadmill_worker.drivers.errors import call_error_of
from threadmill_worker.drivers.files import Files, FileTransfer
from threadmill_worker.drivers.json import NotTheApi, parse_id
from threadmill_worker.drivers.spoken import with_what_it_speaks
from threadmill_worker.drivers.streaming.stream import EventStream, Start
from threadmill_worker.drivers.tags import is_tagged
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    AttachStore,
    CancelRun,
    CreateStore,
    CreateThread,
    Delete,
    Download,
    InspectThread,
    NameFile,
    PollRun,
    PollStore,
    ReadAnswer,
    ReadSteps,
    RemoteAction,
    Resolve,
    StartRun,
    SubmitOutputs,
    Unlock,
    Upload,
)
from threadmill_worker.lifecycle.observations import (
    AnswerRead,
    MessageAdded,
    NothingFound,
    Observation,
    Rejected,
    RunObservation,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    Unlocked,
    Untraceable,
)
from threadmill_worker.lifecycle.progress import Intent, Leftover, Progress

#: The passages that a search found come only when asked for.
_WITH_PASSAGES = "step_details.tool_calls[*].file_search.results[*].content"


class AssistantsDriver:
    """Makes the calls of one job."""

    awaits_run = False

    def __init__(
        self, client: Client, endpoint: Endpoint, spec: JobSpec, transfer: FileTransfer, stream: EventStream
    ) -> None:
        self._api = Api(client, endpoint)
        self._threads = client.beta.threads
        self._runs: Any = client.beta.threads.runs.with_streaming_response  # `stream` alone has a type per value
        self._endpoint = endpoint
        self._spec = spec
        self._deletions = transfer.deletions
        self._files = Files(self._api, spec, transfer)
        self._requests = Requests(spec)
        self._stream = stream

    @property
    def calls(self) -> int:
        return self._api.calls

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        return ThreadState("thread")

    async def run_changed(self) -> None:
        await self._stream.run_changed()

    async def close(self) -> None:
        await self._stream.close()

    async def probe(self) -> Observation:
        progress = Progress(deadline_at=0, messages=0)
        view = await self.do(CreateThread(1), progress)  # some servers create no empty threads
        match view:
            case ThreadCreated(thread_id):
                return await self.do(Delete(Leftover("thread", thread_id)), progress)
            case Rejected(failure) if failure.kind is FailureKind.UNSUPPORTED:
                return await with_what_it_speaks(self._api, view)
            case _:
                return view

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        try:
            return await self._do(action, progress)
        except InvalidJob as error:  # a local file that has changed since we looked
            return Rejected(Failure(kind=FailureKind.REJECTED, message=str(error)))
        except (openai.OpenAIError, NotTheApi, OSError) as error:
            return call_error_of(error, action)

    async def _do(self, action: RemoteAction, progress: Progress) -> Observation:
        thread = progress.thread_id or ""
        match action:
            case Upload() | CreateStore() | PollStore() | NameFile() | Download():
                return await self._files.do(action, progress)
            case InspectThread():
                return ThreadSeen(
                    store_of((await self._api.ask(self._threads.with_raw_response.retrieve(thread))).body)
                )
            case AttachStore(store_id):
                resources: Any = self._requests.resources(progress)
                await self._api.ask(self._threads.with_raw_response.update(thread, tool_resources=resources))
                return StoreSeen(store_id, ready=True)
            case CreateThread(messages, run):
                return await self._create_thread(messages, run, progress)
            case AddMessage(index):
                body: Any = await self._requests.message(index, progress)
                await self._api.ask(self._threads.messages.with_raw_response.create(thread, **body))
                return MessageAdded()
            case StartRun(ordinal):
                run_body = self._requests.run(ordinal, progress, current_time_note(self._endpoint))
                return self._run_of(await self._begin(partial(self._runs.create, thread, **run_body)))
            case PollRun(run_id):
                return await self._poll(thread, run_id)
            case Resolve(intent):
                return await self._resolve(intent, thread, progress)
            case SubmitOutputs(run_id, outputs):
                return await self._submit(thread, run_id, outputs)
            case CancelRun(run_id):
                return await self._cancel(thread, run_id)
            case Unlock(run_id):
                await self._api.ask(self._threads.runs.with_raw_response.cancel(run_id, thread_id=thread))
                return Unlocked()
            case ReadAnswer(run_id):
                return await self._read_answer(thread, run_id, progress.run.seen.created_at if progress.run else None)
            case ReadSteps(run_id):
                return await self._read_steps(thread, run_id)
            case Delete(leftover):
                return await self._deletions.once(
                    self._endpoint.base_url, leftover.kind, partial(self._delete, leftover.kind, leftover.id)
                )
            case _:
                assert_never(action)

    async def _create_thread(self, messages: int, run: int | None, progress: Progress) -> Observation:
        body = await self._requests.thread(messages, progress)
        if run is None:
            return ThreadCreated(parse_id((await self._api.ask(self._threads.with_raw_response.create(**body))).body))
        run_body = self._requests.run(run, progress, current_time_note(self._endpoint))
        create_and_run: Any = self._threads.with_streaming_response.create_and_run
        reply = await self._begin(partial(create_and_run, thread=body, **run_body))
        thread_id = reply.body.get("thread_id")
        if not isinstance(thread_id, str):
            raise NotTheApi("the reply names no thread")
        return ThreadCreated(thread_id, self._run_of(reply))

    async def _poll(self, thread: str, run_id: str) -> RunObservation:
        return await self._run(self._threads.runs.with_raw_response.retrieve(run_id, thread_id=thread))

    async def _submit(self, thread: str, run_id: str, outputs: dict[str, str]) -> Observation:
        listed = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
        try:
            submit = self._runs.submit_tool_outputs
            return self._run_of(await self._begin(partial(submit, run_id, thread_id=thread, tool_outputs=listed)))
        except (openai.BadRequestError, openai.NotFoundError):
            # Too late, or accepted before: the run shows which. If it still waits for the outputs, they were rejected.
            run = await self._poll(thread, run_id)
            if {call.id for call in run.calls} == outputs.keys():
                raise
            return run

    async def _cancel(self, thread: str, run_id: str) -> Observation:
        await self._stream.close()
        try:
            return await self._run(self._threads.runs.with_raw_response.cancel(run_id, thread_id=thread))
        except (openai.BadRequestError, openai.NotFoundError):
            # "Cannot cancel run with status ...", or a server that cannot cancel: the run shows which.
            return await self._poll(thread, run_id)

    async def _read_answer(self, thread: str, run_id: str, since: float | None) -> Observation:
        query = {"run_id": run_id} if self._endpoint.run_id_filter else {}
        list_messages = self._threads.messages.with_raw_response.list
        messages = [each async for each in self._api.pages(list_messages, thread_id=thread, order="asc", **query)]
        answers = answers_of(run_id, messages, since)
        return AnswerRead(tuple(block for message in answers for block in blocks_of(message)))

    async def _read_steps(self, thread: str, run_id: str) -> Observation:
        list_steps = self._threads.runs.steps.with_raw_response.list
        steps = self._api.pages(list_steps, run_id=run_id, thread_id=thread, order="asc", include=[_WITH_PASSAGES])
        return StepsRead(tuple([each async for step in steps for each in parse_step(step)]))

    async def _delete(self, kind: str, thing_id: str) -> None:
        match kind:
            case "thread":
                await self._api.ask(self._threads.with_raw_response.delete(thing_id))
            case "run":
                thread, _, run_id = thing_id.partition("/")
                with suppress(openai.BadRequestError):  # it has ended
                    await self._api.ask(self._threads.runs.with_raw_response.cancel(run_id, thread_id=thread))
            case _:
                await self._files.delete(kind, thing_id)

    async def _resolve(self, intent: Intent, thread: str, progress: Progress) -> Observation:
        """Finds out whether a call whose reply was lost took effect."""
        match intent:
            case Intent.UPLOAD | Intent.CREATE_THREAD:  # files carry no tag, and no server lists threads
                return Untraceable()
            case Intent.CREATE_STORE:
                return await self._files.find_store(progress)
            case Intent.ADD_MESSAGE:
                newest = self._threads.messages.with_raw_response.list(thread, order="desc", limit=100)
                for message in await self._api.entries(newest):
                    if is_tagged(message, self._spec.tag, f"message-{progress.messages_sent}"):
                        return MessageAdded()
                return NothingFound()
            case Intent.START_RUN:
                for run in await self._api.entries(self._threads.runs.with_raw_response.list(thread, limit=100)):
                    if is_tagged(run, self._spec.tag, f"run-{progress.runs + 1}"):
                        return parse_run(run)
                return NothingFound()
            case Intent.SUBMIT_OUTPUTS:
                return await self._poll(thread, progress.run.id) if progress.run else NothingFound()
            case _:
                assert_never(intent)

    async def _begin(self, start: Start) -> Reply:
        """Starts or continues a run. Its events are read if the job asks for them and the server sends them."""
        return await self._stream.open(self._api, start)

    async def _run(self, call: Awaitable[Any]) -> RunObservation:
        return self._run_of(await self._api.ask(call))

    def _run_of(self, reply: Reply) -> RunObservation:
        return self._stream.paced(parse_run(reply.body, reply.headers.get("openai-poll-after-ms")))
