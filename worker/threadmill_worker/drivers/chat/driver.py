"""Chat Completions: vLLM, llama.cpp, Ollama and all other servers that have nothing else.

A run is one call, which ends with an answer or with tool calls. The server keeps nothing of it: each request has all
messages, nothing is polled or cancelled, and there is nothing to delete.
"""

from collections.abc import Sequence
from typing import Any

import openai
import structlog

from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.driver import ThreadState
from threadmill_worker.drivers.base.wire_driver import WireDriver
from threadmill_worker.drivers.chat.optional_fields import REFUSING, refused_field
from threadmill_worker.drivers.chat.remote_objects import ChatObjects
from threadmill_worker.drivers.chat.replies import parse_completion
from threadmill_worker.drivers.chat.requests import Requests, round_name
from threadmill_worker.drivers.chat.stream import read_stream
from threadmill_worker.drivers.http.api import Reply
from threadmill_worker.drivers.http.calls import Post
from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.drivers.replies.errors import Target, call_error_of
from threadmill_worker.drivers.replies.json import NotTheApi
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.notes import current_time_note
from threadmill_worker.drivers.requests.tags import run_name
from threadmill_worker.drivers.requests.tiers import in_lane
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    CreateThread,
    RemoteAction,
    RunAction,
    StartRun,
    SubmitOutputs,
    ThreadAction,
)
from threadmill_worker.lifecycle.observations import (
    CallError,
    Gone,
    MessageAdded,
    NothingFound,
    NotSent,
    Observation,
    RunObservation,
    ThreadCreated,
    Unknown,
    Unresolved,
    Untraceable,
)
from threadmill_worker.lifecycle.progress import Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.live.buffer import EventBuffer

log = structlog.get_logger(__name__)

#: Statuses of a proxy that got no reply from the server behind it, which may still be at work.
_OF_A_PROXY = frozenset({502, 504, 520, 522, 524})


class ChatDriver(WireDriver):
    """Makes the calls of one job."""

    objects = ChatObjects

    def __init__(self, connection: Connection, spec: JobSpec, buffer: EventBuffer) -> None:
        super().__init__(connection, spec, buffer)
        self._requests = Requests(spec, connection.endpoint)
        self._left_out = connection.left_out
        self._had_broken_stream = False  #: then the job is answered without streams: those of some servers have no end

    async def thread_state(self, progress: Progress, answer: Sequence[dict[str, Any]]) -> ThreadState:
        return await self._requests.thread_state(progress, answer)

    def _call_error(self, error: Exception, action: RemoteAction, progress: Progress) -> CallError:
        if not isinstance(action, StartRun | SubmitOutputs):
            return super()._call_error(error, action, progress)
        call_error = in_lane(call_error_of(error, Target.FIRST_RUN), error, progress.requested_lane)
        was_answered = isinstance(error, openai.APIStatusError) and error.status_code not in _OF_A_PROXY
        return _over(call_error) if was_answered else call_error

    async def _do_on_thread(self, action: ThreadAction, progress: Progress) -> Observation:
        match action:
            case CreateThread():  # its messages are stored with the job's result
                return ThreadCreated(f"local_{self._spec.tag}", remote=False)
            case AddMessage():  # the run's request contains all messages
                return MessageAdded()
            case _:
                return _foreign()

    async def _do_on_run(self, action: RunAction, progress: Progress) -> Observation:
        match action:
            case StartRun(ordinal):
                return await self._ask(run_name(ordinal), progress)
            case SubmitOutputs():
                return await self._ask(round_name(progress), progress)
            case _:
                return _foreign()

    async def _find_thread(self, progress: Progress) -> Observation:
        return NothingFound()  # no call was made

    async def _find_message(self, progress: Progress) -> Observation:
        return NothingFound()  # messages are part of the run's request

    async def _find_run(self, progress: Progress) -> Observation:
        """Nothing of a call can be found. It is lost, unless the server answers a repetition with the first reply."""
        can_repeat = self._endpoint.supports.idempotency_keys and progress.outcome is None
        return Unresolved() if can_repeat else Untraceable()

    async def _find_outputs(self, progress: Progress) -> Observation:
        return await self._find_run(progress)

    async def _ask(self, name: str, progress: Progress) -> RunObservation:
        """Makes the call of a run or of a round. Fields that the server refuses are left out, now and later."""
        messages = await self._requests.messages(progress)
        time_note = current_time_note(self._endpoint, progress.pending.sent_at if progress.pending else None)
        known = self._left_out.get(self._spec.model, frozenset())
        left_out = known | {"stream"} if self._had_broken_stream else known
        refusal: openai.APIStatusError | None = None
        while True:
            body = self._requests.body(messages, progress, time_note, left_out)
            post = Post(("chat", "completions"), body, self._key(name, left_out, progress))
            try:
                reply = await self._send(post, name)
                break
            except openai.APIStatusError as error:
                said = replace(read_error(error.response.text), status=error.status_code)
                field = refused_field(body, said, left_out)
                if field is None and refusal is not None and error.status_code in REFUSING:
                    raise refusal from None
                if field is None:
                    raise
                refusal, left_out = refusal or error, left_out | {field}
        if refusal is not None:
            self._learn(left_out - ({"stream"} if self._had_broken_stream else set()))
        outputs = progress.run.outputs if progress.run else {}
        return parse_completion(reply.body, name, {*outputs, *self._requests.taken_ids})

    def _learn(self, left_out: frozenset[str]) -> None:
        known = self._left_out.get(self._spec.model, frozenset())
        self._left_out[self._spec.model] = known | left_out
        log.warning("the server refuses fields", base_url=self._endpoint.base_url, fields=sorted(left_out - known))

    async def _send(self, post: Post, name: str) -> Reply:
        self.awaits_run = True
        try:
            if post.body.get("stream"):
                return await self._read_stream(post, name)
            return await self._api.call(self._http.send(post, waits=True))
        finally:
            self.awaits_run = False

    async def _read_stream(self, post: Post, name: str) -> Reply:
        try:
            return await read_stream(self._api, self._endpoint, post, self._buffer, name)
        except (NotTheApi, openai.APIConnectionError):
            self._had_broken_stream = True
            raise

    def _key(self, name: str, left_out: frozenset[str], progress: Progress) -> dict[str, str]:
        """Returns the header with a call's idempotency key, if the server answers repetitions with the first reply.

        Another request needs another key.
        """
        if not self._endpoint.supports.idempotency_keys or progress.pending is None:
            return {}
        parts = (f"{self._spec.tag}/{name}@{progress.pending.sent_at:.3f}", *sorted(left_out))
        return {"Idempotency-Key": "/".join(parts)}


def _over(call_error: CallError) -> CallError:
    """Returns the error with which the server itself ended a call: nothing of the call is left."""
    if not isinstance(call_error, Unknown):
        return call_error
    reason, kind, retry_after_s = call_error.reason, call_error.kind, call_error.retry_after_s
    is_busy = call_error.overloaded
    return NotSent(reason, kind, retry_after_s, overloaded=is_busy, may_be_down=retry_after_s is None)


def _foreign() -> Gone:
    """Returns what is left of a run that began while the endpoint was of another kind."""
    return Gone("the endpoint's server keeps no threads and no runs")
