"""The Responses API: OpenAI, Azure's v1, and compatible servers. A run is a response made in the background."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, assert_never

import openai

from threadmill_worker.drivers.base.capabilities import refuses_background
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.base.polled_driver import PolledDriver
from threadmill_worker.drivers.http.calls import Post
from threadmill_worker.drivers.replies.errors import NO_PATH, Target, call_error_of, is_conversation_locked
from threadmill_worker.drivers.replies.json import NotTheApi, parse_id
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import current_time_note
from threadmill_worker.drivers.requests.tags import is_tagged, key_of, run_name, tag
from threadmill_worker.drivers.requests.tiers import in_lane, no_background
from threadmill_worker.drivers.responses.conversation_items import ConversationItems, is_in_conversation, parse_items
from threadmill_worker.drivers.responses.events import RESPONSES
from threadmill_worker.drivers.responses.lost_replies import LostReplies
from threadmill_worker.drivers.responses.remote_objects import ResponsesObjects
from threadmill_worker.drivers.responses.replies import (
    RESPONSE,
    parse_answer,
    parse_last_event,
    parse_reply,
    parse_response,
    steps_of,
)
from threadmill_worker.drivers.responses.requests import STEP_DETAILS, Requests, round_names
from threadmill_worker.drivers.responses.thread_kinds import find_kind
from threadmill_worker.drivers.streaming.stream import Silent
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    AttachStore,
    CancelRun,
    CreateThread,
    InspectThread,
    PollRun,
    ReadAnswer,
    ReadSteps,
    RemoteAction,
    Resolve,
    RunAction,
    StartRun,
    SubmitOutputs,
    ThreadAction,
    Unlock,
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
)
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.recovery.context import lacks_context
from threadmill_worker.live.buffer import EventBuffer


class ResponsesDriver(PolledDriver):
    """Makes the calls of one job."""

    events = RESPONSES
    objects = ResponsesObjects

    def __init__(self, connection: Connection, spec: JobSpec, buffer: EventBuffer) -> None:
        super().__init__(connection, spec, buffer)
        self._capabilities = connection.capabilities
        self._requests = Requests(
            spec, store=connection.endpoint.supports.stored_responses, capabilities=connection.capabilities
        )
        self._items = ConversationItems(self._api)
        self._lost = LostReplies(self._api, spec, self._requests, self._items)

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        return await self._requests.thread_state(progress, answer)

    async def do(self, action: RemoteAction, progress: Progress) -> Observation:
        if self._requests.is_kind_unknown and isinstance(action, StartRun | SubmitOutputs | Resolve):
            kind = await find_kind(self._api, self._spec.job.thread or "")
            if isinstance(kind, CallError):
                return kind
            self._requests.kind = kind
        seen = await super().do(action, progress)
        if isinstance(seen, RunObservation):
            self._check_context(seen, action, progress)
        if isinstance(seen, Rejected) and progress.intent and self._may_have_landed(action, progress):
            found = await super().do(Resolve(progress.intent), progress)
            return found if isinstance(found, RunObservation) else seen
        return seen

    def _may_have_landed(self, action: RemoteAction, progress: Progress) -> bool:
        """Whether an earlier try of the call may have taken effect since the last search for it."""
        in_doubt = progress.pending is not None and progress.pending.in_doubt
        return in_doubt and self._lost.shows_in_items(action, progress)

    def _call_error(self, error: Exception, action: RemoteAction, progress: Progress) -> CallError:
        if not isinstance(action, StartRun | SubmitOutputs):
            return super()._call_error(error, action, progress)
        target = Target.OBJECT
        if isinstance(action, StartRun):
            target = Target.FIRST_RUN if self._requests.names_nothing(progress) else Target.RUNS
        call_error = in_lane(call_error_of(error, target), error, progress.requested_lane)
        if not isinstance(call_error, NotSent) or not is_conversation_locked(error):
            return call_error
        if self._lost.shows_in_items(action, progress):
            self._lost.locks_conversation = self._may_have_landed(action, progress)
            return Unknown(call_error.reason, call_error.kind)  # the job's own response may lock it
        return call_error

    async def _do_on_thread(self, action: ThreadAction, progress: Progress) -> Observation:
        match action:
            case InspectThread():  # a conversation has no vector store: each response names those it searches
                return ThreadSeen(None)
            case AttachStore(store_id):
                return StoreSeen(store_id, ready=True)
            case CreateThread():
                return await self._create_conversation(progress)
            case AddMessage():  # the run's request contains all messages
                return MessageAdded()
            case Unlock():  # the server does not say whose response locks a conversation
                return Unlocked()
            case _:
                assert_never(action)

    async def _do_on_run(self, action: RunAction, progress: Progress) -> Observation:
        match action:
            case StartRun(ordinal):
                return await self._create(await self._requests.first(ordinal, progress, self._note(progress)), progress)
            case SubmitOutputs(run_id, outputs):
                body = await self._requests.round(progress, outputs, run_id, self._note(progress))
                return await self._create(body, progress)
            case PollRun(run_id):
                seen = self._ended_in_stream() or self._alive_in_stream(progress)
                return self._stream.paced(seen or await self._run(run_id))
            case CancelRun(run_id):
                return await self._cancel(run_id)
            case ReadAnswer(run_id):
                return parse_answer(await self._retrieve(run_id))
            case ReadSteps(run_id):
                return StepsRead(await self._steps(run_id, progress))
            case _:
                assert_never(action)

    async def _find_thread(self, progress: Progress) -> Observation:
        return await self._lost.find_thread(progress)

    async def _find_message(self, progress: Progress) -> Observation:
        return NothingFound()  # messages are part of the run's request

    async def _find_run(self, progress: Progress) -> Observation:
        return await self._lost.find_run(progress)

    async def _find_outputs(self, progress: Progress) -> Observation:
        return await self._lost.find_outputs(progress)

    async def _create_conversation(self, progress: Progress) -> Observation:
        """Creates a conversation if the thread is kept. On a server without conversations, responses are chained."""
        if not self._spec.job.keep_thread:
            return ThreadCreated("", remote=False)
        body: dict[str, Any] = {"metadata": self._spec.job.metadata | tag(self._spec.tag, "thread")}
        request = Post(("conversations",), body, self._key(body, progress))
        try:
            return ThreadCreated(parse_id((await self._api.call(self._http.send(request))).body))
        except openai.APIStatusError as error:
            if error.status_code not in NO_PATH:
                raise
            return ThreadCreated("", remote=False)

    async def _create(self, body: dict[str, Any], progress: Progress) -> RunObservation | LaneClosed:
        """Creates a response, in the background if the server can. A completion window requires the background."""
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
        """Sends the request. `waits`: the reply may come only when the response has ended."""
        request = Post(("responses",), body, self._key(body, progress))
        self.awaits_run = waits
        try:
            reply = await self._stream.open(self._api, request, waits=waits)
        finally:
            self.awaits_run = False
        if "background" in body:
            self._capabilities.background_answered(reply.body, streamed=self._stream.is_stream)
        return self._stream.paced(replace(parse_reply(reply.body), continues="previous_response_id" in body))

    def _check_context(self, seen: RunObservation, action: RemoteAction, progress: Progress) -> None:
        """Records that a server does not continue from earlier responses."""
        if isinstance(action, PollRun) and progress.run is not None:
            seen = replace(seen, continues=progress.run.seen.continues)
        if lacks_context(seen):
            self._capabilities.ignores_previous = True

    def _note(self, progress: Progress) -> str | None:
        """Returns the time note. It is the same in each repetition of a request."""
        return current_time_note(self._endpoint, progress.pending.sent_at if progress.pending else None)

    def _key(self, body: dict[str, Any], progress: Progress) -> dict[str, str]:
        """Returns the header with a call's idempotency key, if the server answers repetitions with the first reply."""
        if not self._endpoint.supports.idempotency_keys or progress.pending is None:
            return {}
        key = key_of(body, progress.pending.sent_at)
        return {"Idempotency-Key": key if "background" in body else f"{key}/waits"}

    def _ended_in_stream(self) -> RunObservation | None:
        """Returns the run in the last event of its stream, if it is complete there."""
        body = self._stream.take_last()
        return parse_last_event(body) if body is not None else None

    def _alive_in_stream(self, progress: Progress) -> RunObservation | None:
        """Returns the run as last observed while the reply to its request is a stream: it cannot be polled."""
        return progress.run.seen if progress.run and self._stream.is_open and self._capabilities.waits else None

    async def _run(self, run_id: str) -> RunObservation:
        body = await self._retrieve(run_id)
        return parse_items(body) if is_in_conversation(run_id) else parse_response(body)

    async def _retrieve(self, run_id: str, **query: Any) -> dict[str, Any]:
        if is_in_conversation(run_id):
            if (body := await self._items.read(run_id)) is None:
                raise NotTheApi("the conversation no longer has the items of the response")
            return body
        return (await self._api.call(self._http.get("responses", run_id, **query))).body

    async def _steps(self, run_id: str, progress: Progress) -> tuple[dict[str, Any], ...]:
        """Returns the steps of all rounds of the run; each round is a response."""
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
            return parse_response((await self._api.call(self._http.post("responses", run_id, "cancel"))).body)
        except openai.BadRequestError:  # it has ended
            return parse_response(await self._retrieve(run_id))
