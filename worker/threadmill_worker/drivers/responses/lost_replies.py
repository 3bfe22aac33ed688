"""Finds a response whose creation reply was lost.

If the server lists its responses, it is found by its tag. If the server supports idempotency keys, the request is
repeated and returns the lost reply. In a conversation, the items of the response are found. Otherwise it cannot be
found: it is counted as lost, and the server's own retention deletes it.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from threadmill_worker.drivers.http.api import MOST_ENTRIES, Api
from threadmill_worker.drivers.replies.json import UnusableReply
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.requests.tags import is_tagged, run_name
from threadmill_worker.drivers.responses.conversation_items import ConversationItems, parse_items
from threadmill_worker.drivers.responses.replies import parse_response
from threadmill_worker.drivers.responses.requests import Requests, round_name
from threadmill_worker.lifecycle.actions import RemoteAction, StartRun, SubmitOutputs
from threadmill_worker.lifecycle.observations import NothingFound, NotSent, Observation, Unresolved, Untraceable
from threadmill_worker.lifecycle.progress import Progress

#: How far a server's clock may be behind the worker's, in seconds.
_CLOCKS_S = 600.0


class LostReplies:
    """The searches of one job."""

    def __init__(self, api: Api, spec: JobSpec, requests: Requests, items: ConversationItems) -> None:
        self._api = api
        self._spec = spec
        self._requests = requests
        self._items = items
        #: Whether a response whose reply was lost locks the conversation, because it is still in progress.
        self.locks_conversation = False

    async def find_thread(self, progress: Progress) -> Observation:
        if not self._spec.job.keep_thread:  # no call was made
            return NothingFound()
        return Unresolved() if self._can_repeat(progress) else Untraceable()

    async def find_run(self, progress: Progress) -> Observation:
        if self._api.endpoint.supports.list_responses:
            return await self._find(run_name(progress.runs + 1), progress, is_round=False)
        if self._can_repeat(progress):
            return Unresolved()
        if not self.shows_in_items(StartRun(progress.runs + 1), progress):
            return Untraceable()
        return self._found(await self._items.after_start(self._conversation(progress), progress.messages), progress)

    async def find_outputs(self, progress: Progress) -> Observation:
        if self._api.endpoint.supports.list_responses:
            return await self._find(round_name(progress), progress, is_round=True)
        if self._can_repeat(progress):
            return Unresolved()
        if not progress.run or not self._conversation(progress):
            return Untraceable()
        last_call = progress.run.calls[-1].id
        return self._found(await self._items.after_output(self._conversation(progress), last_call), progress)

    def shows_in_items(self, action: RemoteAction, progress: Progress) -> bool:
        """Whether the items of the conversation show the effect of a call.

        Outputs name their calls. The first run can be recognised only in a conversation that the job created.
        """
        if not self._conversation(progress):
            return False
        is_first = self._spec.job.thread is None and progress.runs == 0
        return isinstance(action, SubmitOutputs) or (isinstance(action, StartRun) and is_first)

    def _conversation(self, progress: Progress) -> str:
        return self._requests.conversation(progress) or ""

    def _can_repeat(self, progress: Progress) -> bool:
        """Whether the request is still needed, and its repetition returns the lost reply."""
        return self._api.endpoint.supports.idempotency_keys and progress.outcome is None

    def _found(self, body: dict[str, Any] | None, progress: Progress) -> Observation:
        """`body`: the items of the conversation; a response in progress is not among them yet."""
        if body is not None:
            self.locks_conversation = False
            return parse_items(body)
        if progress.outcome is not None:
            return Untraceable()
        return (
            NotSent("the response whose reply was lost is still in progress")
            if self.locks_conversation
            else Unresolved()
        )

    async def _find(self, what: str, progress: Progress, *, is_round: bool) -> Observation:
        """Looks for the tag among the newest responses."""
        since, seen = (progress.pending.sent_at if progress.pending else 0) - _CLOCKS_S, 0
        try:
            async for entry in self._api.pages(partial(self._api.http.get, "responses"), order="desc"):
                if is_tagged(entry, self._spec.tag, what):
                    continues = self._requests.continues(progress, is_round=is_round)
                    return replace(parse_response(entry), continues=continues)
                seen += 1
                if isinstance(entry.get("created_at"), int | float) and entry["created_at"] < since:
                    return NothingFound()
        except UnusableReply:
            return Untraceable()
        return NothingFound() if seen < MOST_ENTRIES else Untraceable()
