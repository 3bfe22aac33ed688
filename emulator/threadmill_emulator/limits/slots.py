"""Slots of a server: how many chat completions it works on at a time, while the others wait for their turn."""

import asyncio
from collections import deque

from threadmill_emulator.errors.chat_api import server_busy
from threadmill_emulator.scripting.limits import Limits


class Slots:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.taken = 0
        self._turns: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._turns)

    def use(self, limits: Limits) -> None:
        self._limits = limits
        self._grant()

    async def take(self) -> None:
        """Waits for a slot. Raises ApiError (503) if too many wait. Who takes one must release it."""
        if not self._turns and self._is_free:
            self.taken += 1
            return
        most = self._limits.queue
        if most is not None and self.waiting >= most:
            raise server_busy()
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.release()
            elif turn in self._turns:
                self._turns.remove(turn)
            raise

    def release(self) -> None:
        self.taken -= 1
        self._grant()

    @property
    def _is_free(self) -> bool:
        return self._limits.slots is None or self.taken < self._limits.slots

    def _grant(self) -> None:
        while self._turns and self._is_free:
            turn = self._turns.popleft()
            if not turn.cancelled():
                self.taken += 1
                turn.set_result(None)
