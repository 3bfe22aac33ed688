"""The Assistants API (v2): MediaTek DaVinci, self-hosted servers and gateways, the emulator.

Own runs and messages carry a mark (assistants_requests.py), so that one whose creation reply was lost can be
found again.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from datetime import datetime
from typing import Any, assert_never, cast

import openai
import openai.resources.beta.threads  # the SDK would import it on first use, in the middle of a job

from threadmill.endpoint import Endpoint
from threadmill.job import PromptJob
from threadmill_worker.actions import (
    AddMessage,
    CancelRun,
    CreateThread,
    Delete,
    Look,
    ReadAnswer,
    Settle,
    StartRun,
    SubmitOutputs,
)
from threadmill_worker.drivers.assistants_requests import is_marked, message_body, run_body
from threadmill_worker.drivers.assistants_wire import (
    NotTheApi,
    blocks_of,
    is_answer,
    parse_id,
    parse_object,
    parse_run,
)
from threadmill_worker.drivers.connection import Client, api_key
from threadmill_worker.drivers.driver import RemoteAction
from threadmill_worker.drivers.troubles import trouble_of
from threadmill_worker.progress import Intent, Progress
from threadmill_worker.views import (
    AnswerRead,
    Deleted,
    InDoubt,
    MessageAdded,
    NothingFound,
    RunView,
    ThreadCreated,
    View,
)

_PAGE = 100
_PAGES = 20  # a server that ignores `after` would send the same page for ever


class AssistantsDriver:
    """Speaks for one job. `tools`: the definitions the job offers its runs, None to leave the assistant's own."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        assistant: str,
        job_id: str,
        job: PromptJob,
        tools: list[dict[str, Any]] | None,
    ) -> None:
        self.calls = 0
        self._threads = client.beta.threads
        self._endpoint = endpoint
        self._assistant = assistant
        self._job_id = job_id
        self._job = job
        self._conversation = job.conversation
        self._tools = tools

    async def do(self, action: RemoteAction, progress: Progress) -> View:
        try:
            return await self._do(action, progress)
        except NotTheApi as error:
            return InDoubt(str(error))
        except (openai.OpenAIError, OSError) as error:
            return trouble_of(error, action, api_key(self._endpoint))

    async def _do(self, action: RemoteAction, progress: Progress) -> View:
        thread = progress.thread_id or ""
        match action:
            case CreateThread(messages):
                return await self._create_thread(messages)
            case AddMessage(index):
                return await self._add_message(thread, index)
            case StartRun(ordinal):
                return await self._start_run(thread, ordinal)
            case Look(run_id):
                return await self._look(thread, run_id)
            case Settle(intent):
                return await self._settle(intent, thread, progress)
            case SubmitOutputs(run_id, outputs):
                return await self._submit(thread, run_id, outputs)
            case CancelRun(run_id):
                return await self._cancel(thread, run_id)
            case ReadAnswer(run_id):
                return await self._read_answer(thread, run_id)
            case Delete(leftover):
                return await self._delete(leftover.id)
            case _:
                assert_never(action)

    async def _create_thread(self, messages: int) -> View:
        first = [message_body(self._job_id, self._conversation, index) for index in range(messages)]
        body = await self._call(
            self._threads.with_raw_response.create(
                messages=cast(Any, first), metadata=self._job.metadata or openai.omit
            )
        )
        return ThreadCreated(parse_id(body))

    async def _add_message(self, thread: str, index: int) -> View:
        body = cast(Any, message_body(self._job_id, self._conversation, index))
        await self._call(self._threads.messages.with_raw_response.create(thread, **body))
        return MessageAdded()

    async def _start_run(self, thread: str, ordinal: int) -> View:
        now = datetime.now().astimezone()
        body = run_body(self._job_id, self._job, ordinal, self._assistant, self._tools, self._endpoint.time_note, now)
        return await self._run(self._threads.runs.with_raw_response.create(thread, **body))

    async def _look(self, thread: str, run_id: str) -> RunView:
        return await self._run(self._threads.runs.with_raw_response.retrieve(run_id, thread_id=thread))

    async def _submit(self, thread: str, run_id: str, outputs: dict[str, str]) -> View:
        listed = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
        try:
            return await self._run(
                self._threads.runs.with_raw_response.submit_tool_outputs(
                    run_id, thread_id=thread, tool_outputs=cast(Any, listed)
                )
            )
        except (openai.BadRequestError, openai.NotFoundError):
            # Too late, or taken in before: the run tells. If it still waits for them, they were refused.
            run = await self._look(thread, run_id)
            if {call.id for call in run.calls} == outputs.keys():
                raise
            return run

    async def _cancel(self, thread: str, run_id: str) -> View:
        try:
            return await self._run(self._threads.runs.with_raw_response.cancel(run_id, thread_id=thread))
        except openai.BadRequestError:  # "Cannot cancel run with status ..."
            return await self._look(thread, run_id)

    async def _read_answer(self, thread: str, run_id: str) -> View:
        blocks: list[dict[str, Any]] = []
        async for message in self._messages(thread, run_id=run_id):
            if is_answer(message, run_id):
                blocks += blocks_of(message)
        return AnswerRead(tuple(blocks))

    async def _delete(self, thread: str) -> View:
        with suppress(openai.NotFoundError):
            await self._call(self._threads.with_raw_response.delete(thread))
        return Deleted()

    async def _settle(self, intent: Intent, thread: str, progress: Progress) -> View:
        """Looks for what a call may have made before its reply was lost."""
        match intent:
            case Intent.CREATE_THREAD:  # no server lists threads
                return NothingFound()
            case Intent.ADD_MESSAGE:
                async for message in self._messages(thread):
                    if is_marked(message, self._job_id, f"message-{progress.messages_sent}"):
                        return MessageAdded()
                return NothingFound()
            case Intent.START_RUN:
                body = await self._call(self._threads.runs.with_raw_response.list(thread, limit=_PAGE))
                for run in _data(body):
                    if is_marked(run, self._job_id, f"run-{progress.runs + 1}"):
                        return parse_run(run)
                return NothingFound()
            case Intent.SUBMIT_OUTPUTS:
                return await self._look(thread, progress.run.id) if progress.run else NothingFound()
            case _:
                assert_never(intent)

    async def _messages(self, thread: str, **filters: str) -> AsyncIterator[dict[str, Any]]:
        """The thread's messages, oldest first."""
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            body = await self._call(
                self._threads.messages.with_raw_response.list(
                    thread, order="asc", limit=_PAGE, **cast(Any, filters | after)
                )
            )
            page = _data(body)
            for message in page:
                yield message
            if not body.get("has_more") or not page:
                return
            after = {"after": parse_id(page[-1])}

    async def _run(self, call: Awaitable[Any]) -> RunView:
        raw = await self._counted(call)
        return parse_run(parse_object(self._text(raw)), raw.headers.get("openai-poll-after-ms"))

    async def _call(self, call: Awaitable[Any]) -> dict[str, Any]:
        return parse_object(self._text(await self._counted(call)))

    async def _counted(self, call: Awaitable[Any]) -> Any:
        self.calls += 1
        return await call

    def _text(self, raw: Any) -> str:
        """The reply, without our key should the server repeat it."""
        text, key = str(raw.text), api_key(self._endpoint)
        return text.replace(key, "[key]") if key else text


def _data(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a list reply."""
    data = body.get("data")
    if not isinstance(data, list):
        raise NotTheApi("the reply is no list of the API's")
    return [entry for entry in data if isinstance(entry, dict)]
