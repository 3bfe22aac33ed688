"""The worker's operations on deliveries."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import cast

from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill.stored import fault, leave_out
from threadmill_worker.store.connection import Connection
from threadmill_worker.store.queue import pairs

#: A worker has this long to send what it took, longer than a request. Then another one sends it, with the same id.
HELD_S = 15.0


class CallbackStore(Connection):
    """The outbox of callbacks."""

    async def take_delivery(self, busy: Collection[str] = ()) -> Delivery | None:
        """Returns a delivery that is due, with this attempt counted, or None. No other worker gets it for a time.

        `busy`: hosts whose deliveries are left for later, so that those of other hosts come first.
        """
        while (reply := await self._run("callbacks/take", hold_s=HELD_S, busy=sorted(busy))) != ["none"]:
            _, delivery_id, *values = reply
            try:
                return Delivery.read(delivery_id, DeliveryState.PENDING, datetime.now(UTC), dict(pairs(values)))
            except ValueError as error:
                leave_out(f"callback {delivery_id}", *fault(error))
                await self._run("callbacks/drop", id=delivery_id)
        return None

    async def settle(
        self, delivery: Delivery, state: DeliveryState, reason: str, status: int | None, delay_s: float | None = None
    ) -> bool:
        """Records the outcome of the attempt. Returns False if another attempt has begun, or it was dropped."""
        reply = await self._run(
            "callbacks/settle",
            id=delivery.id,
            attempt=delivery.attempts,
            state=state,
            reason=reason,
            status=status,
            delay_s=delay_s,
            ttl_s=self._settings.lifetimes_s[state is DeliveryState.DEAD],
        )
        return bool(reply == ["settled"])

    async def batch_record(self, name: str) -> BatchRecord | None:
        """Returns a batch; None if it is no longer kept."""
        fields = cast(dict[str, str], await self._with_retries(self._redis.hgetall, self._keys.batch(name)))
        return BatchRecord.read(name, datetime.now(UTC), fields) if fields else None
