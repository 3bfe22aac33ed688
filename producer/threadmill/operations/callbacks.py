"""The client's operations on callbacks."""

from collections.abc import Sequence

from threadmill.operations.base import Operations
from threadmill.store.records.callback import Delivery, DeliveryState


class CallbackOperations(Operations):
    """The client's operations on callbacks."""

    def callbacks(self, state: DeliveryState | None = None, limit: int = 50) -> list[Delivery]:
        """Returns the callbacks that are kept: pending ones, the first due first; then dead and delivered ones, the
        last first. `limit`: the most of each state."""
        states = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.DELIVERED) if state is None else (state,)
        return self.store.callbacks(states, limit)

    def retry_callbacks(self, delivery_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Has callbacks sent again now; without ids, all dead ones. Their ids do not change.

        Returns for each `pending`, `delivered` (it is not sent again) or `missing`.
        """
        return self.store.retry_callbacks(self.store.dead_callbacks() if delivery_ids is None else delivery_ids)

    def drop_callbacks(self, delivery_ids: Sequence[str]) -> dict[str, str]:
        """Deletes callbacks, so that they are not sent. Returns `dropped` or `missing` for each."""
        return self.store.drop_callbacks(delivery_ids)
