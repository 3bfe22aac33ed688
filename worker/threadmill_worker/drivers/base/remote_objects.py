"""Deletes remote objects of any job, and checks servers."""

from abc import ABC, abstractmethod
from contextlib import suppress

import openai
import structlog

from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.lifecycle.observations import CallError, Deleted, Observation
from threadmill_worker.lifecycle.progress import Leftover

log = structlog.get_logger(__name__)

#: Statuses of servers that do not have a method on a path: vLLM has no DELETE of responses, Ollama none at all.
_NO_METHOD = frozenset({405, 501})


class RemoteObjects(ABC):
    """The remote objects on one server.

    `undeletable` collects the kinds of objects that the server turns out not to delete; they are not tried again.
    """

    def __init__(self, api: Api, undeletable: set[str]) -> None:
        self._api = api
        self._undeletable = undeletable

    @abstractmethod
    async def probe(self) -> Observation:
        """Checks the key and the API of the server and leaves no object there. Returns Deleted if both are right."""

    async def delete(self, leftover: Leftover) -> Deleted | CallError:
        """Deletes an object, or cancels a run.

        Returns Deleted also if the object does not exist, or if the server cannot delete objects of its kind.
        """
        if leftover.kind in self._undeletable or (leftover.kind == "run" and not self._api.endpoint.supports.cancel):
            return Deleted()
        try:
            with suppress(openai.NotFoundError):
                await self._delete(leftover.kind, leftover.id)
        except CALL_ERRORS as error:
            if not _has_no_method(error):
                return call_error_of(error, Target.OBJECT)
            self._undeletable.add(leftover.kind)
            base_url, reason = self._api.endpoint.base_url, str(error)
            log.warning("the server cannot delete this kind", base_url=base_url, kind=leftover.kind, reason=reason)
        return Deleted()

    async def _delete(self, kind: str, object_id: str) -> None:
        """Makes the call. The kinds here are the same on all wires."""
        objects = "files" if kind == "file" else "vector_stores"
        await self._api.call(self._api.http.delete(objects, object_id))


def _has_no_method(error: Exception) -> bool:
    """Whether the server lacks the method. LiteLLM answers 500: "DELETE responses is not supported for PROVIDER"."""
    if not isinstance(error, openai.APIStatusError):
        return False
    is_said = error.status_code == 500 and "not supported" in error.response.text.lower()
    return is_said or error.status_code in _NO_METHOD
