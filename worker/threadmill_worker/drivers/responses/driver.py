"""The Responses API: OpenAI, Azure's v1, and compatible servers. A run is a response made in the background.

A response whose creation reply was lost is looked for where the server lists its responses. Where it honours
idempotency keys, the request is repeated and brings the reply. In a conversation its items are looked for. Elsewhere it
is counted, and goes with the server's own retention.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, assert_never

import httpx2
import openai
import openai.resources.responses  # the SDK would import it on first use, in the middle of a job

from threadmill.errors import InvalidJob
from threadmill.job.result import Failure, FailureKind
from threadmill.settings.endpoint import Endpoint
from threadmill_worker.drivers.api import MOST_ENTRIES, Api
from threadmill_worker.drivers.client import Client
from threadmill_worker.drivers.driver import JobSpec, ThreadState, current_time_note
from threadmill_worker.drivers.errors import NO_PATH, call_error_of, is_conversation_locked
from threadmill_worker.drivers.files import IN_CONTAINER, Files, FileTransfer
from threadmill_worker.drivers.json import NotTheApi, UnusableReply, parse_id
from threadmill_worker.drivers.responses.capabilities import Capabilities, refuses_background
from threadmill_worker.drivers.responses.conversation_items import ConversationItems, is_in_conversation, parse_items
from threadmill_worker.drivers.responses.replies import (
    RESPONSE,
    parse_answer,
    parse_last_event,
    parse_reply,
    parse_response,
    steps_of,
)
from threadmill_worker.drivers.responses.requests import STEP_DETAILS, Requests, round_name, round_names, run_name
from threadmill_worker.drivers.responses.thread_kinds import find_kind
from threadmill_worker.drivers.responses.tiers import as_arguments, in_lane, no_background
from threadmill_worker.drivers.spoken import probe_responses, with_what_it_speaks
from threadmill_worker.drivers.streaming.stream import EventStream, Silent
from threadmill_worker.drivers.tags import is_tagged, key_of, tag
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
    CallError,
    LaneClosed,
    MessageAdded,
    NothingFound,
    NotSent,
    Observation,
    Rejected,
    RunObservation,
    StepsRead,
    StoreSeen,
    ThreadCreated,
    ThreadSeen,
    Unknown,
    Unlocked,
    Unresolved,
    Untraceable,
)
from threadmill_worker.lifecycle.progress import Intent, Progress
from threadmill_worker.lifecycle.recovery.context import lacks_context

#: How far a server's clock may be behind ours, in seconds.
_CLOCKS_S = 600.0


class ResponsesDriver:
    """Speaks for one job."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        spec: JobSpec,
        transfer: FileTransfer,
        stream: EventStream,
        capabilities: Capabilities,
    ) -> None:
        self._api = Api(client, endpoint)
        self._client = client
        self._endpoint = endpoint
        self._spec = spec
        self._deletions = transfer.deletions
        self._files = Files(self._api, spec, transfer)
        self._requests = Requests(spec, store=endpoint.store, capabilities=capabilities)
        self._items = ConversationItems(self._api, client)
        self._stream = stream
        self._capabilities = capabilities
        self.awaits_run = False
        self._has_landed = False  #: a response of ours, whose reply was lost, has locked the conversation

    @property
    def calls(self) -> int:
        return self._api.calls

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        return await self._requests.thread_state(progress, answer)

    async def run_changed(self) -> None:
        await self._stream.run_changed()

    async def close(self) -> None:
        await self._stream.close()

    async def probe(self) -> Observation:
        try:
            view = await probe_responses(self._api)
        except (openai.OpenAIError, OSError) as error:
            return call_error_of(error, PollRun(""))
        return await with_what_it_speaks(self._api, view) if isinstance(view, Rejected) else view

    async def request(self, progress: Progress) -> dict[str, Any]:
        """The job's next run as a request of the Batch API, which has a background of its own."""
        body = await self._requests.first(progress.runs + 1, progress, current_time_note(self._endpoint))
        return {name: value for name, value in body.items() if name != "background"}

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        if self._requests.is_kind_unknown and isinstance(action, StartRun | SubmitOutputs | Resolve):
            kind = await find_kind(self._api, self._spec.job.thread or "")
            if isinstance(kind, CallError):
                return kind
            self._requests.kind = kind
        view = await self._try(action, progress)
        if isinstance(view, RunObservation):
            self._see_context(view, action, progress)
        in_doubt = progress.pending is not None and progress.pending.in_doubt
        if isinstance(view, Rejected) and progress.intent and in_doubt and self._can_look(action, progress):
            # An earlier try may have taken effect since the last search.
            found = await self._try(Resolve(progress.intent), progress)
            return found if isinstance(found, RunObservation) else view
        return view

    async def _try(self, action: RemoteAction, progress: Progress) -> Observation:
        try:
            return await self._do(action, progress)
        except InvalidJob as error:  # a local file that has changed since we looked
            return Rejected(Failure(kind=FailureKind.REJECTED, message=str(error)))
        except (openai.OpenAIError, NotTheApi, OSError) as error:
            is_first = isinstance(action, StartRun) and self._requests.names_nothing(progress)
            trouble = call_error_of(error, action, names_nothing=is_first)
            if isinstance(action, StartRun | SubmitOutputs):
                trouble = in_lane(trouble, error, progress.requested_lane)
            if isinstance(trouble, NotSent) and is_conversation_locked(error) and self._can_look(action, progress):
                self._has_landed = progress.pending is not None and progress.pending.in_doubt
                return Unknown(trouble.reason, trouble.kind)  # by a response of ours, if a reply was lost
            return trouble

    async def _do(self, action: RemoteAction, progress: Progress) -> Observation:
        match action:
            case Download(file_id) if IN_CONTAINER in file_id:
                return await self._files.download_from_container(file_id)
            case Upload() | CreateStore() | PollStore() | NameFile() | Download():
                return await self._files.do(action, progress)
            case InspectThread():  # a conversation has no vector store: each response names those it searches
                return ThreadSeen(None)
            case AttachStore(store_id):
                return StoreSeen(store_id, ready=True)
            case CreateThread():
                return await self._create_conversation(progress)
            case AddMessage():  # all go with the run
                return MessageAdded()
            case StartRun(ordinal):
                note = self._note(progress)
                return await self._create(await self._requests.first(ordinal, progress, note), progress)
            case PollRun(run_id):
                seen = self._ended_in_stream() or self._alive_in_stream(progress)
                return self._stream.paced(seen or await self._run(run_id))
            case Resolve(intent):
                return await self._resolve(intent, progress)
            case SubmitOutputs(run_id, outputs):
                note = self._note(progress)
                return await self._create(await self._requests.round(progress, outputs, run_id, note), progress)
            case CancelRun(run_id):
                return await self._cancel(run_id)
            case Unlock():  # whose response it is that locks a conversation is not told
                return Unlocked()
            case ReadAnswer(run_id):
                return parse_answer(await self._retrieve(run_id))
            case ReadSteps(run_id):
                return StepsRead(await self._steps(run_id, progress))
            case Delete(leftover):
                delete = partial(self._delete, leftover.kind, leftover.id)
                return await self._deletions.once(self._endpoint.base_url, leftover.kind, delete)
            case _:
                assert_never(action)

    async def _create_conversation(self, progress: Progress) -> Observation:
        """Only for one that is to live on: other jobs need none. A server without any chains its responses."""
        if not self._spec.job.keep_thread:
            return ThreadCreated("", remote=False)
        body: dict[str, Any] = {"metadata": self._spec.job.metadata | tag(self._spec.tag, "thread")}
        call = self._client.conversations.with_raw_response.create(**body, **self._key(body, progress))
        try:
            return ThreadCreated(parse_id((await self._api.ask(call)).body))
        except openai.APIStatusError as error:
            if error.status_code not in NO_PATH:
                raise
            return ThreadCreated("", remote=False)

    async def _create(self, body: dict[str, Any], progress: Progress) -> RunObservation | LaneClosed:
        """In the background, where the server works there. A completion window requires that."""
        has_window = "background_options" in body
        if self._capabilities.asks_background:
            try:
                return await self._post(body, progress, waits=self._capabilities.waits)
            except (openai.APITimeoutError, Silent):
                self._capabilities.background_unanswered()
                raise
            except openai.APIStatusError as error:
                if has_window or not refuses_background(error):
                    raise
        elif has_window:
            return no_background(progress.requested_lane or "")
        plain = {name: value for name, value in body.items() if name != "background"}
        run = await self._post(plain, progress, waits=True)
        self._capabilities.background_refused()
        return run

    async def _post(self, body: dict[str, Any], progress: Progress, *, waits: bool) -> RunObservation:
        """Its events are read if the job asked for that, and the server has them.

        `waits`: the reply may come only when the response has ended; its time is the job's.
        """
        create: Any = self._client.responses.with_streaming_response.create  # `stream` alone has a type per value
        start = partial(create, **as_arguments(body), **self._key(body, progress))
        self.awaits_run = waits
        try:
            reply = await self._stream.open(self._api, start, waits=waits)
        finally:
            self.awaits_run = False
        if "background" in body:
            self._capabilities.background_answered(reply.body, streamed=self._stream.is_stream)
        return self._stream.paced(replace(parse_reply(reply.body), continues="previous_response_id" in body))

    def _see_context(self, view: RunObservation, action: RemoteAction, progress: Progress) -> None:
        """Remembers a server that does not continue from earlier responses."""
        if isinstance(action, PollRun) and progress.run is not None:
            view = replace(view, continues=progress.run.seen.continues)
        if lacks_context(view):
            self._capabilities.ignores_previous = True

    def _note(self, progress: Progress) -> str | None:
        """The time note, which is the same in each repetition of a request."""
        return current_time_note(self._endpoint, progress.pending.sent_at if progress.pending else None)

    def _key(self, body: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """The option of a call that has its repetition answered with its first reply, where the server does that."""
        if not self._endpoint.idempotency_keys or progress.pending is None:
            return {}
        key = key_of(body, progress.pending.sent_at)
        return {"extra_headers": {"Idempotency-Key": key if "background" in body else f"{key}/waits"}}

    def _ended_in_stream(self) -> RunObservation | None:
        """The run as its stream's last event shows it, if that shows all of it."""
        body = self._stream.take_last()
        return parse_last_event(body) if body is not None else None

    def _alive_in_stream(self, progress: Progress) -> RunObservation | None:
        """The run as last seen, while its stream is the reply to its request: there is nothing else to look at."""
        return progress.run.seen if progress.run and self._stream.lives and self._capabilities.waits else None

    async def _run(self, run_id: str) -> RunObservation:
        body = await self._retrieve(run_id)
        return parse_items(body) if is_in_conversation(run_id) else parse_response(body)

    async def _retrieve(self, run_id: str, **query: Any) -> dict[str, Any]:
        if is_in_conversation(run_id):
            if (body := await self._items.read(run_id)) is None:
                raise NotTheApi("the conversation does not have the items of the response any more")
            return body
        return (await self._api.ask(self._client.responses.with_raw_response.retrieve(run_id, **query))).body

    async def _steps(self, run_id: str, progress: Progress) -> tuple[dict[str, Any], ...]:
        """Of all rounds of the run: each is a response of its own."""
        count = progress.run.rounds if progress.run else 0
        numbered = (round_names(progress.runs, number + 1) for number in range(count))
        rounds = [run_name(progress.runs), *chain.from_iterable(numbered)]
        steps: list[dict[str, Any]] = []
        for leftover in progress.leftovers:
            if leftover.kind == RESPONSE and leftover.id not in progress.without_context:
                body = await self._retrieve(leftover.id, include=STEP_DETAILS)
                if leftover.id == run_id or any(is_tagged(body, self._spec.tag, what) for what in rounds):
                    steps += steps_of(body)
        return tuple(steps)

    async def _cancel(self, run_id: str) -> Observation:
        await self._stream.close()
        if is_in_conversation(run_id):  # it has ended
            return await self._run(run_id)
        try:
            return parse_response((await self._api.ask(self._client.responses.with_raw_response.cancel(run_id))).body)
        except openai.BadRequestError:  # it has ended
            return parse_response(await self._retrieve(run_id))

    async def _resolve(self, intent: Intent, progress: Progress) -> Observation:
        match intent:
            case Intent.CREATE_STORE:
                return await self._files.find_store(progress)
            case Intent.ADD_MESSAGE:
                return NothingFound()
            case Intent.CREATE_THREAD if not self._spec.job.keep_thread:  # no call was made
                return NothingFound()
            case Intent.START_RUN if self._endpoint.lists_responses:
                return await self._find(run_name(progress.runs + 1), progress, is_round=False)
            case Intent.SUBMIT_OUTPUTS if self._endpoint.lists_responses:
                return await self._find(round_name(progress), progress, is_round=True)
            case Intent.CREATE_THREAD | Intent.START_RUN | Intent.SUBMIT_OUTPUTS if self._repeats(progress):
                return Unresolved()
            case Intent.START_RUN if self._can_look(StartRun(progress.runs + 1), progress):
                body = await self._items.after_start(self._conversation(progress), progress.messages)
                return self._found(body, progress)
            case Intent.SUBMIT_OUTPUTS if progress.run and self._can_look(SubmitOutputs("", {}), progress):
                body = await self._items.after_output(self._conversation(progress), progress.run.calls[-1].id)
                return self._found(body, progress)
            case Intent.UPLOAD | Intent.CREATE_THREAD | Intent.START_RUN | Intent.SUBMIT_OUTPUTS:
                return Untraceable()
            case _:
                assert_never(intent)

    def _conversation(self, progress: Progress) -> str:
        return self._requests.conversation(progress) or ""

    def _can_look(self, action: RemoteAction, progress: Progress) -> bool:
        """Whether the conversation tells what came of a call: outputs name theirs, and one of our own begins empty."""
        if not self._conversation(progress):
            return False
        is_first = self._spec.job.thread is None and progress.runs == 0
        return isinstance(action, SubmitOutputs) or (isinstance(action, StartRun) and is_first)

    def _found(self, body: dict[str, Any] | None, progress: Progress) -> Observation:
        """A response that is still at work is not there yet: it locks the conversation until it has ended."""
        if body is not None:
            self._has_landed = False
            return parse_items(body)
        if progress.outcome is not None:
            return Untraceable()
        return NotSent("the response whose reply was lost is at work") if self._has_landed else Unresolved()

    def _repeats(self, progress: Progress) -> bool:
        """Whether the request is still wanted, and its repetition brings the reply that was lost."""
        return self._endpoint.idempotency_keys and progress.outcome is None

    async def _find(self, what: str, progress: Progress, *, is_round: bool) -> Observation:
        """Looks for a response of ours among the newest."""
        since, seen = (progress.pending.sent_at if progress.pending else 0) - _CLOCKS_S, 0
        try:
            async for entry in self._api.pages(self._list, order="desc"):
                if is_tagged(entry, self._spec.tag, what):
                    return replace(
                        parse_response(entry), continues=self._requests.continues(progress, is_round=is_round)
                    )
                seen += 1
                if isinstance(entry.get("created_at"), int | float) and entry["created_at"] < since:
                    return NothingFound()
        except UnusableReply:
            return Untraceable()
        return NothingFound() if seen < MOST_ENTRIES else Untraceable()

    async def _list(self, **query: Any) -> httpx2.Response:
        return await self._client.get("/responses", cast_to=httpx2.Response, options={"params": query})

    async def _delete(self, kind: str, thing_id: str) -> None:
        match kind:
            case "run":
                with suppress(openai.BadRequestError):  # it has ended
                    await self._api.ask(self._client.responses.with_raw_response.cancel(thing_id))
            case "response":
                self._api.calls += 1
                await self._client.responses.delete(thing_id)
            case "thread":
                await self._api.ask(self._client.conversations.with_raw_response.delete(thing_id))
            case "container":
                self._api.calls += 1
                await self._client.containers.delete(thing_id)
            case _:
                await self._files.delete(kind, thing_id)
