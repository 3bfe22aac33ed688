"""What webhooks of servers say, passed on to the workers whose jobs wait for it."""

from threadmill.store.connection import Connection


class WebhookStore(Connection):
    """A wake decides nothing: the worker polls. One that is lost, repeated or wrong costs a poll, or a wait for one."""

    def wake(self, endpoint: str, run_id: str) -> bool:
        """Has the job polled that awaits a run, a response of this endpoint. Returns False if none awaits it yet."""
        return bool(self._run("webhooks/run_ended", endpoint=endpoint, run=run_id) == ["woken"])

    def wake_batch(self, endpoint: str, batch_id: str) -> bool:
        """Has a remote batch of this endpoint polled. Returns False if no worker has read earlier wakes."""
        return bool(self._run("webhooks/batch_ended", endpoint=endpoint, batch=batch_id) == ["told"])
