"""Assistants on the server: list, look, create, update, delete. For people, who wait: a few tries, then a word."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from threadmill_worker.drivers.api import Api
from threadmill_worker.drivers.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.json import parse_id
from threadmill_worker.drivers.tags import is_tagged, tag
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Rejected, Unusable

#: Between the tries of a call.
_PAUSES_S = (0.5, 2.0)
_LONGEST_PAUSE_S = 10.0

_T = TypeVar("_T")


class Troubled(Exception):
    """The server did not do it; `trouble` says why."""

    def __init__(self, trouble: CallError) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


class Provisioning:
    """The assistants of one endpoint. Every call raises Troubled."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._calls = api.client.beta.assistants.with_raw_response

    async def list(self) -> list[dict[str, Any]]:
        """The newest first, as servers list them; some thousand at most."""

        async def once() -> dict[str, dict[str, Any]]:
            return {parse_id(each): each async for each in self._api.pages(self._calls.list)}

        return list((await self._asked(Target.THREADS, once)).values())

    async def get(self, assistant_id: str) -> dict[str, Any] | None:
        """None if there is none of this id."""
        try:
            return await self._asked(Target.OBJECT, lambda: self._object(self._calls.retrieve(assistant_id)))
        except Troubled as error:
            if isinstance(error.trouble, Gone):
                return None
            raise

    async def made_from(self, profile: str) -> dict[str, Any] | None:
        """The assistant that carries the profile's mark."""
        return next((each for each in await self.list() if is_tagged(each, "profile", profile)), None)

    async def create(self, profile: str, body: dict[str, Any]) -> dict[str, Any]:
        """After a lost reply we look for the mark first: the assistant may be there."""
        marked = body | {"metadata": body.get("metadata", {}) | tag("profile", profile)}
        sent = False

        async def once() -> dict[str, Any]:
            nonlocal sent
            if sent and (made := await self.made_from(profile)):
                return made
            sent = True
            return await self._object(self._calls.create(**marked))

        return await self._asked(Target.THREADS, once)

    async def update(self, assistant_id: str, profile: str, body: dict[str, Any]) -> dict[str, Any]:
        marked = body | {"metadata": body["metadata"] | tag("profile", profile)}
        return await self._asked(Target.OBJECT, lambda: self._object(self._calls.update(assistant_id, **marked)))

    async def delete(self, assistant_id: str) -> bool:
        """False if it was gone already."""
        try:
            await self._asked(Target.OBJECT, lambda: self._api.ask(self._calls.delete(assistant_id)))
        except Troubled as error:
            if isinstance(error.trouble, Gone):
                return False
            raise
        return True

    async def _object(self, call: Awaitable[Any]) -> dict[str, Any]:
        body = (await self._api.ask(call)).body
        parse_id(body)
        return body

    async def _asked(self, target: Target, once: Callable[[], Awaitable[_T]]) -> _T:
        """Repeats what can be repeated: all but creation change nothing the second time, and creation looks first."""
        for pause_s in (*_PAUSES_S, None):
            trouble: CallError
            try:
                return await once()
            except CALL_ERRORS as error:
                trouble = call_error_of(error, target)
            if pause_s is None or isinstance(trouble, Rejected | Gone | Unusable):
                raise Troubled(trouble)
            asked_s = trouble.retry_after_s if isinstance(trouble, NotSent) else None
            await asyncio.sleep(min(asked_s or pause_s, _LONGEST_PAUSE_S))
        raise AssertionError("the last try returns or raises")
