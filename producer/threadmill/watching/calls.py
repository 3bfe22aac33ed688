"""Calls of many tasks to Redis: those of the same moment share a round trip."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from threadmill.errors import ClientClosed
from threadmill.store.connection import translate_errors, unavailable

#: Commands in one round trip; more would block Redis for too long.
_AT_ONCE = 300

#: A command with its arguments, or a script with its own.
Command = tuple[Any, ...]


class _Call(NamedTuple):
    commands: Sequence[Command]
    replies: asyncio.Future[list[Any]]


class Calls:
    """Sends commands on one connection, in the order of the calls. Create and use it inside one event loop."""

    def __init__(self, redis: Redis, redis_url: str) -> None:
        self._redis = redis
        self._redis_url = redis_url
        self._waiting = deque[_Call]()
        self._sender: asyncio.Task[None] | None = None
        self._is_closed = False

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Sends commands, also if nobody waits for the replies. A cancelled call that was not sent yet is not sent.

        The future raises StoreUnavailable, StoreRefused and ClientClosed. Raises ClientClosed.
        """
        if self._is_closed:
            raise ClientClosed
        call = _Call(commands, asyncio.get_running_loop().create_future())
        call.replies.add_done_callback(_retrieve)
        self._waiting.append(call)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(), name="threadmill calls")
        return call.replies

    async def close(self) -> None:
        """Ends the calls under way with ClientClosed."""
        self._is_closed = True
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        for call in self._waiting:
            _fail(call, ClientClosed())

    async def _send_all(self) -> None:
        while self._waiting:
            calls: list[_Call] = []
            while self._waiting and sum(len(call.commands) for call in calls) < _AT_ONCE:
                call = self._waiting.popleft()
                if not call.replies.done():
                    calls.append(call)
            try:
                await self._send_together(calls)
            except asyncio.CancelledError:  # nobody may wait for ever
                for call in calls:
                    _fail(call, ClientClosed())
                raise
            except Exception as error:
                for call in calls:
                    _fail(call, unavailable(self._redis_url, error))

    async def _send_together(self, calls: Sequence[_Call]) -> None:
        with translate_errors(self._redis_url):
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in (command for call in calls for command in call.commands):
                    if isinstance(command[0], AsyncScript):
                        script, args = command
                        pipe.scripts.add(script)
                        command = ("EVALSHA", script.sha, 0, *args)
                    pipe.execute_command(*command)
                replies = iter(await pipe.execute(raise_on_error=False))
        for call in calls:
            own = [next(replies) for _ in call.commands]
            error = next((reply for reply in own if isinstance(reply, Exception)), None)
            if error is not None:
                refusal = unavailable(self._redis_url, error)
                refusal.__cause__ = error
                _fail(call, refusal)
            elif not call.replies.done():
                call.replies.set_result(own)


def _fail(call: _Call, error: Exception) -> None:
    if not call.replies.done():
        call.replies.set_exception(error)


def _retrieve(replies: asyncio.Future[list[Any]]) -> None:
    """Keeps asyncio from reporting an error for which nobody waits."""
    if not replies.cancelled():
        replies.exception()
