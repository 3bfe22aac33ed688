"""Script calls of an event loop, sent together: a round trip costs a worker as much as a dozen calls within one."""

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError

from threadmill.store.scripts import Scripts

#: Calls in one round trip; more would delay the commands of other clients.
_AT_ONCE = 100


@dataclass(frozen=True, eq=False)
class _Call:
    script: AsyncScript
    args: tuple[bytes, bytes]
    reply: asyncio.Future[Any]


class ScriptCalls:
    """Runs scripts, in the order of the calls. Create and use it inside one event loop.

    Calls of the same tick go to Redis in one round trip. Calls made during a round trip go with the next one.
    """

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts
        self._waiting: dict[_Call, None] = {}
        self._sender: asyncio.Task[None] | None = None

    async def run(self, name: str, request: dict[str, Any]) -> Any:
        """Runs lua/NAME.lua and returns its reply. Raises the error that Redis replied to this call.

        If the connection fails, it raises the error of the connection, and the script may have run. A call that is
        cancelled before it was sent is not sent.
        """
        script, args = self._scripts.prepared(name, request)
        call = _Call(script, args, asyncio.get_running_loop().create_future())
        self._waiting[call] = None
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="script calls")
        try:
            return await call.reply
        finally:
            self._waiting.pop(call, None)

    def close(self) -> None:
        """Stops sending. Call it when nobody waits for a reply."""
        if self._sender is not None:
            self._sender.cancel()

    async def _send(self) -> None:
        try:
            while calls := list(islice(self._waiting, _AT_ONCE)):
                for call in calls:
                    del self._waiting[call]
                await self._send_together(calls)
        finally:
            self._sender = None

    async def _send_together(self, calls: list[_Call]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(call.script.sha, 0, *call.args)  # not AsyncScript: it asks first whether Redis has the script
        try:
            replies = await pipe.execute(raise_on_error=False)
        except Exception as error:
            replies = [error] * len(calls)
        except asyncio.CancelledError:  # nobody may wait for ever
            for call in (*calls, *self._waiting):
                call.reply.cancel()
            raise
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, NoScriptError):  # Redis has restarted, or never had the script
                try:
                    reply = await call.script(args=call.args)  # loads it
                except Exception as error:
                    reply = error
            if not call.reply.done():  # else its caller was cancelled
                if isinstance(reply, Exception):
                    call.reply.set_exception(reply)
                else:
                    call.reply.set_result(reply)
