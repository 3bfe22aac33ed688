"""The Responses API: OpenAI, Azure's v1, and compatible servers. A run is a response made in the background.

No server lists its responses, so that one whose creation reply was lost cannot be found: it is counted, and goes with
the server's own retention.
"""

from contextlib import suppress
from functools import partial
from typing import Any, assert_never

import openai
import openai.resources.responses  # the SDK would import it on first use, in the middle of a job

from threadmill.endpoint import Endpoint
from threadmill.errors import InvalidJob
from threadmill.result import Failure, FailureKind
from threadmill_worker.actions import (
    AddMessage,
    AttachStore,
    CancelRun,
    CreateStore,
    CreateThread,
    Delete,
    Download,
    Look,
    LookAtStore,
    LookAtThread,
    NameFile,
    ReadAnswer,
    ReadSteps,
    Settle,
    StartRun,
    SubmitOutputs,
    Unlock,
    Upload,
)
from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.assistants_wire import NotTheApi, parse_id
from threadmill_worker.drivers.connection import Client
from threadmill_worker.drivers.driver import Order, RemoteAction, time_note
from threadmill_worker.drivers.files import Exchange, Files
from threadmill_worker.drivers.marks import is_marked, mark
from threadmill_worker.drivers.responses_requests import Requests
from threadmill_worker.drivers.responses_wire import (
    IN_CONTAINER,
    RESPONSE,
    blocks_of,
    containers_of,
    is_chain,
    parse_response,
    steps_of,
)
from threadmill_worker.drivers.streaming import EventStream
from threadmill_worker.drivers.troubles import is_no_url, trouble_of
from threadmill_worker.progress import Intent, Progress
from threadmill_worker.views import (
    AnswerRead,
    Deleted,
    FileNamed,
    Gone,
    Lost,
    MessageAdded,
    NothingFound,
    Refused,
    RunView,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    Unlocked,
    View,
)

_WITH_DETAILS = ["code_interpreter_call.outputs", "file_search_call.results"]


class ResponsesDriver:
    """Speaks for one job."""

    def __init__(
        self, client: Client, endpoint: Endpoint, order: Order, exchange: Exchange, stream: EventStream
    ) -> None:
        self._api = Api(client, endpoint)
        self._client = client
        self._endpoint = endpoint
        self._order = order
        self._files = Files(self._api, order.job_id, order.mark, exchange)
        self._requests = Requests(order)
        self._stream = stream

    @property
    def calls(self) -> int:
        return self._api.calls

    async def stirred(self) -> None:
        await self._stream.stirred()

    async def close(self) -> None:
        await self._stream.close()

    async def probe(self) -> View:
        view = await self.do(Look("resp_none"), Progress(deadline_at=0, messages=0))
        if not isinstance(view, Gone):
            return view
        if is_no_url(view.reason):
            return Refused(Failure(kind=FailureKind.UNSUPPORTED, message=view.reason))
        return Deleted()  # it knows that there is none of this id

    async def request(self, progress: Progress) -> dict[str, Any]:
        """The job's first run as a request of the Batch API, which has a background of its own."""
        body = await self._requests.first(1, progress, time_note(self._endpoint))
        return {name: value for name, value in body.items() if name != "background"}

    async def do(self, action: RemoteAction, progress: Progress) -> View:
        try:
            return await self._do(action, progress)
        except InvalidJob as error:  # a local file that has changed since we looked
            return Refused(Failure(kind=FailureKind.REJECTED, message=str(error)))
        except (openai.OpenAIError, NotTheApi, OSError) as error:
            return trouble_of(error, action, self._api.key)

    async def _do(self, action: RemoteAction, progress: Progress) -> View:
        match action:
            case Upload(index):
                return await self._files.upload(self._order.materials.uploads[index], lives_on=self._order.lives_on)
            case CreateStore():
                searched = self._order.materials.files_for("file_search", progress.uploaded)
                return await self._files.create_store(searched, lives_on=self._order.lives_on)
            case LookAtStore(store_id):
                return await self._files.look_at_store(store_id)
            case LookAtThread():  # a conversation has no vector store: each response names those it searches
                return ThreadSeen(None)
            case AttachStore(store_id):
                return StoreSeen(store_id, ready=True)
            case CreateThread(messages):
                return await self._create_conversation(messages)
            case AddMessage():  # all go with the run
                return MessageAdded()
            case StartRun(ordinal):
                return await self._create(await self._requests.first(ordinal, progress, time_note(self._endpoint)))
            case Look(run_id):
                return self._stream.paced(parse_response(await self._retrieve(run_id)))
            case Settle(intent):
                return await self._settle(intent)
            case SubmitOutputs(run_id, outputs):
                return await self._create(self._requests.round(progress, outputs, run_id, time_note(self._endpoint)))
            case CancelRun(run_id):
                return await self._cancel(run_id)
            case Unlock():  # whose response it is that locks a conversation is not told
                return Unlocked()
            case ReadAnswer(run_id):
                body = await self._retrieve(run_id)
                return AnswerRead(blocks_of(body), containers_of(body))
            case NameFile(file_id) if file_id in progress.uploaded:
                return FileNamed(file_id, self._order.materials.uploads[progress.uploaded.index(file_id)].name)
            case NameFile(file_id):
                return await self._files.name(file_id)
            case Download(file_id) if IN_CONTAINER in file_id:
                return await self._files.download_from_container(*file_id.split(IN_CONTAINER, 1))
            case Download(file_id):
                return await self._files.download(file_id)
            case ReadSteps(run_id):
                return StepsRead(await self._steps(run_id, progress))
            case Delete(leftover):
                await self._delete(leftover.kind, leftover.id)
                return Deleted()
            case _:
                assert_never(action)

    async def _create_conversation(self, messages: int) -> View:
        """Only for one that is to live on: other jobs need none. A server without any chains its responses."""
        if not self._order.job.keep_thread:
            return ThreadCreated("", remote=False)
        metadata = self._order.job.metadata | mark(self._order.mark, "thread")
        call = self._client.conversations.with_raw_response.create(metadata=metadata)
        try:
            return ThreadCreated(parse_id((await self._api.ask(call)).body))
        except openai.NotFoundError:
            return ThreadCreated("", remote=False)

    async def _create(self, body: dict[str, Any]) -> RunView:
        """Its events are read if the job asked for that, and the server has them."""
        create: Any = self._client.responses.with_streaming_response.create  # `stream` alone has a type per value
        return self._stream.paced(parse_response((await self._stream.open(self._api, partial(create, **body))).body))

    async def _retrieve(self, run_id: str, **query: Any) -> dict[str, Any]:
        return (await self._api.ask(self._client.responses.with_raw_response.retrieve(run_id, **query))).body

    async def _steps(self, run_id: str, progress: Progress) -> tuple[dict[str, Any], ...]:
        """Of all rounds of the run: each is a response of its own."""
        own = f"run-{progress.runs}"
        rounds = [own, *(f"{own}-{number + 1}" for number in range(progress.rounds))]
        steps: list[dict[str, Any]] = []
        for leftover in progress.leftovers:
            if leftover.kind == RESPONSE:
                body = await self._retrieve(leftover.id, include=_WITH_DETAILS)
                if leftover.id == run_id or any(is_marked(body, self._order.mark, what) for what in rounds):
                    steps += steps_of(body, progress.outputs)
        return tuple(steps)

    async def _cancel(self, run_id: str) -> View:
        await self._stream.close()
        try:
            return parse_response((await self._api.ask(self._client.responses.with_raw_response.cancel(run_id))).body)
        except openai.BadRequestError:  # it has ended
            return parse_response(await self._retrieve(run_id))

    async def _settle(self, intent: Intent) -> View:
        """Only stores can be looked for."""
        match intent:
            case Intent.CREATE_STORE:
                return await self._files.find_store()
            case Intent.ADD_MESSAGE:
                return NothingFound()
            case Intent.UPLOAD | Intent.CREATE_THREAD | Intent.START_RUN | Intent.SUBMIT_OUTPUTS:
                return Lost()
            case _:
                assert_never(intent)

    async def _delete(self, kind: str, thing_id: str) -> None:
        with suppress(openai.NotFoundError):
            match kind:
                case "run":
                    with suppress(openai.BadRequestError):  # it has ended
                        await self._api.ask(self._client.responses.with_raw_response.cancel(thing_id))
                case "response":
                    self._api.calls += 1
                    await self._client.responses.delete(thing_id)
                case "thread" if is_chain(thing_id):
                    self._api.calls += 1
                    await self._client.responses.delete(thing_id)
                case "thread":
                    await self._api.ask(self._client.conversations.with_raw_response.delete(thing_id))
                case "container":
                    self._api.calls += 1
                    await self._client.containers.delete(thing_id)
                case _:
                    await self._files.delete(kind, thing_id)
