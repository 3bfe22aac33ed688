"""Deletes responses, conversations and containers of the Responses API."""

from contextlib import suppress

import openai

from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.drivers.probe import probe_responses, with_spoken_api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.lifecycle.observations import Observation, Rejected


class ResponsesObjects(RemoteObjects):
    async def probe(self) -> Observation:
        try:
            found = await probe_responses(self._api)
        except CALL_ERRORS as error:
            return call_error_of(error, Target.OBJECT)
        return await with_spoken_api(self._api, found) if isinstance(found, Rejected) else found

    async def _delete(self, kind: str, object_id: str) -> None:
        http = self._api.http
        match kind:
            case "run":
                with suppress(openai.BadRequestError):  # it has ended
                    await self._api.call(http.post("responses", object_id, "cancel"))
            case "response":  # its reply has no body
                with self._api.counting():
                    await http.delete("responses", object_id)
            case "thread":
                await self._api.call(http.delete("conversations", object_id))
            case "container":
                with self._api.counting():
                    await http.delete("containers", object_id)
            case _:
                await super()._delete(kind, object_id)
