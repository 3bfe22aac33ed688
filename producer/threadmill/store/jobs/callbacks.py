"""The producer's operations on deliveries, and on the callbacks of batches."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from threadmill.errors import BatchNotFound
from threadmill.job.callback import Callback
from threadmill.names import is_name
from threadmill.store.connection import chunks
from threadmill.store.jobs.batches import BatchStore
from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill.stored import fault, leave_out


class CallbackStore(BatchStore):
    """Reads and changes deliveries. Workers send them."""

    def set_batch_callback(self, name: str, callback: Callback) -> None:
        """Has a callback sent when no job of the batch is open; at once, if none is. Raises BatchNotFound."""
        receiver = callback.model_dump_json(exclude_defaults=True)
        if not is_name(name) or self._run("batches/callback", name=name, callback=receiver) == ["unknown"]:
            raise BatchNotFound(name, self._batch_names())

    def callbacks(self, states: Sequence[DeliveryState], limit: int) -> list[Delivery]:
        """Returns the deliveries in these states, at most `limit` of each: pending ones that are due first, then others
        that ended last. Unreadable ones are left out, with a warning."""
        found = []
        for state in states:
            read = self._redis.zrange if state is DeliveryState.PENDING else self._redis.zrevrange
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                listed = cast(Any, read(self._keys.callbacks(state), 0, limit - 1, withscores=True))
                for delivery_id, _ in listed:
                    pipe.hgetall(self._keys.callback(delivery_id))
                hashes = self._replies(pipe)
            for (delivery_id, moment), fields in zip(listed, hashes, strict=True):
                if fields:
                    found.append(_read(delivery_id, state, datetime.fromtimestamp(moment, UTC), fields))
        return [delivery for delivery in found if delivery is not None]

    def retry_callbacks(self, delivery_ids: Sequence[str]) -> dict[str, str]:
        """Makes deliveries due now. Returns their states now; `missing` for those that are not kept."""
        return self._outcomes("callbacks/retry", delivery_ids)

    def drop_callbacks(self, delivery_ids: Sequence[str]) -> dict[str, str]:
        """Deletes deliveries. Returns `dropped` or `missing` for each."""
        return self._outcomes("callbacks/drop", delivery_ids)

    def dead_callbacks(self) -> list[str]:
        """Returns the ids of the dead deliveries."""
        return [delivery_id for delivery_id, _ in self.ranked(self._keys.callbacks(DeliveryState.DEAD))]

    def _outcomes(self, script: str, delivery_ids: Sequence[str]) -> dict[str, str]:
        outcomes: dict[str, str] = {}
        for ids in chunks(delivery_ids):
            with self._translate_errors(), self._redis.pipeline(transaction=False) as pipe:
                for delivery_id in ids:
                    self._scripts.run(script, {"id": delivery_id}, pipe)
                outcomes |= {each: outcome for each, [outcome] in zip(ids, pipe.execute(), strict=True)}
        return outcomes


def _read(delivery_id: str, state: DeliveryState, moment: datetime, fields: dict[str, str]) -> Delivery | None:
    try:
        return Delivery.read(delivery_id, state, moment, fields)
    except ValueError as error:
        leave_out(f"callback {delivery_id}", *fault(error))
        return None
