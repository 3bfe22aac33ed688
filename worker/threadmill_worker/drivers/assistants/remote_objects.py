"""Deletes threads and cancels runs of the Assistants API."""

from contextlib import suppress
from typing import Any

import openai

from threadmill.job.result import FailureKind
from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.drivers.probe import with_spoken_api
from threadmill_worker.drivers.replies.errors import CALL_ERRORS, Target, call_error_of
from threadmill_worker.drivers.replies.json import parse_id
from threadmill_worker.lifecycle.observations import Observation, Rejected
from threadmill_worker.lifecycle.progress import Leftover

#: Some servers create no empty threads.
_MESSAGES: Any = [{"role": "user", "content": "-"}]


class AssistantsObjects(RemoteObjects):
    async def probe(self) -> Observation:
        try:
            reply = await self._api.call(self._api.http.post("threads", body={"messages": _MESSAGES}))
            thread_id = parse_id(reply.body)
        except CALL_ERRORS as error:
            call_error = call_error_of(error, Target.THREADS)
            if isinstance(call_error, Rejected) and call_error.failure.kind is FailureKind.UNSUPPORTED:
                return await with_spoken_api(self._api, call_error)
            return call_error
        return await self.delete(Leftover("thread", thread_id))

    async def _delete(self, kind: str, object_id: str) -> None:
        http = self._api.http
        match kind:
            case "thread":
                await self._api.call(http.delete("threads", object_id))
            case "run":
                thread, _, run_id = object_id.partition("/")
                with suppress(openai.BadRequestError):  # it has ended
                    await self._api.call(http.post("threads", thread, "runs", run_id, "cancel"))
            case _:
                await super()._delete(kind, object_id)
