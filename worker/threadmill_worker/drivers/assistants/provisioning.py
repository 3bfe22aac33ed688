"""Lists, reads, creates, updates and deletes the assistants on a server, for commands: retries briefly, then fails."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_chain, wait_fixed

from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.replies.json import parse_id
from threadmill_worker.drivers.requests.tags import is_tagged, tag
from threadmill_worker.lifecycle.observations import CallError, Gone, NotSent, Rejected, Unknown, Unusable

#: The waits between the tries of a call, in seconds.
_PAUSES_S = (0.5, 2.0)
_LONGEST_PAUSE_S = 10.0

_T = TypeVar("_T")


class CallFailed(Exception):
    """A call failed; `call_error` says why."""

    def __init__(self, call_error: CallError) -> None:
        super().__init__(call_error.reason)
        self.call_error = call_error


class Provisioning:
    """The assistants of one endpoint. Every call raises CallFailed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._calls = api.sdk.beta.assistants.with_raw_response

    async def list(self) -> list[dict[str, Any]]:
        """Returns the assistants, the newest first; some thousand at most."""

        async def read() -> dict[str, dict[str, Any]]:
            return {parse_id(each): each async for each in self._api.pages(self._calls.list)}

        return list((await _with_retries(Target.THREADS, read)).values())

    async def get(self, assistant_id: str) -> dict[str, Any] | None:
        """Returns the assistant; None if it does not exist."""
        try:
            return await _with_retries(Target.OBJECT, lambda: self._object(self._calls.retrieve(assistant_id)))
        except CallFailed as error:
            if isinstance(error.call_error, Gone):
                return None
            raise

    async def made_from(self, profile: str) -> dict[str, Any] | None:
        """Returns the assistant with the profile's tag."""
        return next((each for each in await self.list() if is_tagged(each, "profile", profile)), None)

    async def create(self, profile: str, body: dict[str, Any]) -> dict[str, Any]:
        """Creates the assistant. After a lost reply, first looks for it by its tag, because it may exist."""
        tagged = body | {"metadata": body.get("metadata", {}) | tag("profile", profile)}
        is_sent = False

        async def find_or_create() -> dict[str, Any]:
            nonlocal is_sent
            if is_sent and (made := await self.made_from(profile)):
                return made
            is_sent = True
            return await self._object(self._calls.create(**tagged))

        return await _with_retries(Target.THREADS, find_or_create)

    async def update(self, assistant_id: str, profile: str, body: dict[str, Any]) -> dict[str, Any]:
        tagged = body | {"metadata": body["metadata"] | tag("profile", profile)}
        return await _with_retries(Target.OBJECT, lambda: self._object(self._calls.update(assistant_id, **tagged)))

    async def delete(self, assistant_id: str) -> bool:
        """Deletes the assistant. Returns False if it did not exist."""
        try:
            await _with_retries(Target.OBJECT, lambda: self._api.call(self._calls.delete(assistant_id)))
        except CallFailed as error:
            if isinstance(error.call_error, Gone):
                return False
            raise
        return True

    async def _object(self, call: Awaitable[Any]) -> dict[str, Any]:
        body = (await self._api.call(call)).body
        parse_id(body)
        return body


async def _with_retries(target: Target, call: Callable[[], Awaitable[_T]]) -> _T:
    """Repeats a call that can safely be repeated, while that may help. Raises CallFailed."""

    async def try_once() -> _T:
        try:
            return await call()
        except CALL_ERRORS as error:
            raise CallFailed(call_error_of(error, target)) from None

    retrying = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        wait=_pause_s,
        stop=stop_after_attempt(len(_PAUSES_S) + 1),
        reraise=True,
    )
    return await retrying(try_once)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and not isinstance(error.call_error, Rejected | Gone | Unusable)


def _pause_s(state: RetryCallState) -> float:
    """Returns the delay that the server asks for, or the next of the pauses."""
    error = state.outcome.exception() if state.outcome else None
    call_error = error.call_error if isinstance(error, CallFailed) else None
    requested_s = call_error.retry_after_s if isinstance(call_error, NotSent | Unknown) else None
    usual_s = wait_chain(*map(wait_fixed, _PAUSES_S))(state)
    return min(requested_s or usual_s, _LONGEST_PAUSE_S)
