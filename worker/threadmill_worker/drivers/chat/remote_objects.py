"""Checks servers of Chat Completions. They keep no objects of jobs, except files of the Batch API."""

from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.drivers.probe import probe_chat, with_spoken_api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.lifecycle.observations import Observation, Rejected


class ChatObjects(RemoteObjects):
    async def probe(self) -> Observation:
        try:
            found = await probe_chat(self._api)
        except CALL_ERRORS as error:
            return call_error_of(error, Target.OBJECT)
        return await with_spoken_api(self._api, found) if isinstance(found, Rejected) else found

    async def _delete(self, kind: str, object_id: str) -> None:
        if kind in ("file", "vector_store"):  # others are from the time when the endpoint was of another kind
            await super()._delete(kind, object_id)
