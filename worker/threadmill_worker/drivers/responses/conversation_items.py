"""Reads a response whose id was lost from the items of its conversation.

When a response has ended with an answer or with function calls, its input and then its output become items of the
conversation. Items do not name their response. So the run gets an id made of the conversation and its last input.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.responses.replies import parse_response
from threadmill_worker.lifecycle.observations import RunObservation

_SEPARATOR = "#"


class ConversationItems:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def after_output(self, conversation: str, call_id: str) -> dict[str, Any] | None:
        """Returns the items after the output of a call as the body of a response; None if the output is not there."""
        newer: list[dict[str, Any]] = []
        async for item in self._newest_first(conversation):
            if item.get("call_id") == call_id:
                taken = item.get("type") == "function_call_output"  # otherwise it is the call
                return _body(f"{conversation}{_SEPARATOR}{call_id}", newer[::-1]) if taken else None
            newer.append(item)
        return None

    async def after_start(self, conversation: str, messages: int) -> dict[str, Any] | None:
        """Returns the items after the first `messages` messages; None if there are no items."""
        items = [item async for item in self._newest_first(conversation)][::-1]
        return _body(f"{conversation}{_SEPARATOR}{messages}", items[messages:]) if items else None

    async def read(self, run_id: str) -> dict[str, Any] | None:
        """Returns the same body again. `run_id`: its id."""
        conversation, anchor = run_id.split(_SEPARATOR, 1)
        if anchor.isdecimal():
            return await self.after_start(conversation, int(anchor))
        return await self.after_output(conversation, anchor)

    def _newest_first(self, conversation: str) -> AsyncIterator[dict[str, Any]]:
        items = partial(self._api.http.get, "conversations", conversation, "items")
        return self._api.pages(items, order="desc")


def is_in_conversation(run_id: str) -> bool:
    """Whether this module made the id of the run, because the id of the response was lost."""
    return _SEPARATOR in run_id


def parse_items(body: dict[str, Any]) -> RunObservation:
    """Returns the run. Its response cannot be deleted, because its id is unknown."""
    return replace(parse_response(body), kind=None, is_anonymous=True)


def _body(run_id: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    output = [item for item in items if item.get("type") != "function_call_output"]
    is_cut = any(item.get("status") == "incomplete" for item in output)
    return {"id": run_id, "status": "incomplete" if is_cut else "completed", "output": output}
