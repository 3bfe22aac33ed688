"""The client's operations on endpoints, and what it tells of the workers."""

from threadmill.operations.base import Operations
from threadmill.settings.endpoints.pool_name import pool_name
from threadmill.settings.pools import limits_of
from threadmill.store.records.durations import RunDurations
from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import FailingEndpoint, Worker, merge_failing_endpoints


class EndpointOperations(Operations):
    """The client's operations on endpoints, and what it tells of the workers."""

    def workers(self) -> list[Worker]:
        """Returns the workers that are running."""
        return self.store.live_workers()

    def failing_endpoints(self, endpoint: str | None = None) -> tuple[FailingEndpoint, ...]:
        """Returns an entry for each endpoint that gives workers no usable replies now; with `endpoint`, only for it."""
        found = (failing for worker in self.workers() for failing in worker.failing_endpoints)
        return merge_failing_endpoints(failing for failing in found if endpoint in (None, failing.endpoint))

    def pools(self, endpoint: str | None = None) -> list[PoolRecord]:
        """Returns the pools in use, by name: their limits, the jobs that use them, and the jobs that wait for them.

        In use are pools on which a job started within the last hour, and those that jobs use or wait for. A paused
        endpoint has at least one. With `endpoint`, returns only its pools.
        """
        return self.store.pools(endpoint)

    def endpoint_pools(self, endpoint: str | None = None) -> list[PoolRecord]:
        """Returns the pools in use, as `pools` does, and one for each endpoint of the settings that has none in use.

        They are sorted by their labels. With `endpoint`, returns only its pools; raises SettingsError if there is none.
        """
        pools = self.pools(endpoint)
        in_use = {pool.endpoint for pool in pools}
        asked = [endpoint] if endpoint is not None else list(self.settings.endpoints)
        unused = [pool_name(self.settings.endpoint_name(name)) for name in asked if name not in in_use]
        now = self.store.now()
        pools += [PoolRecord.unused(pool, now, limits_of(self.settings, pool)) for pool in unused]
        return sorted(pools, key=lambda pool: pool.label)

    def run_durations(self, endpoint: str | None = None) -> list[RunDurations]:
        """Returns how long the last runs of each assistant and model took, as the workers know it.

        The latest used come first; what was not used for 8 days is forgotten. With `endpoint`, returns only its own.
        """
        return self.store.run_durations(endpoint)

    def awaited_pools(self, endpoint: str | None = None) -> tuple[PoolRecord, ...]:
        """Returns the pools that hold jobs back now, each with its `wait_reason`; with `endpoint`, only its pools."""
        return tuple(pool for pool in self.pools(endpoint) if pool.wait_reason)

    def pause_endpoint(self, name: str, reason: str = "") -> None:
        """Stops workers from starting runs on an endpoint; jobs under way continue. `reason`: for those who wait.

        Workers start its jobs again after `resume_endpoint`. Raises SettingsError if there is no such endpoint.
        """
        self.store.pause_endpoint(self.settings.endpoint_name(name), reason)

    def resume_endpoint(self, name: str) -> bool:
        """Lets workers start runs on a paused endpoint again. Returns whether it was paused.

        Raises SettingsError if there is no such endpoint, unless it is paused.
        """
        was_paused = self.store.resume_endpoint(name)
        if not was_paused:
            self.settings.endpoint_name(name)
        return was_paused

    def wake(self, endpoint: str, run_id: str) -> bool:
        """Has the job polled that awaits a run, because a webhook of its endpoint says that the run has ended.

        Call it for verified webhooks only, such as `response.completed`; the gateway does. Returns False if no job
        awaits the run; one that does soon is polled then.
        """
        return self.store.wake(endpoint, run_id)

    def wake_batch(self, endpoint: str, batch_id: str) -> bool:
        """Has a remote batch of the batch lane polled, because a webhook says that it has ended.

        Returns False if no worker of the endpoint has read earlier ones.
        """
        return self.store.wake_batch(endpoint, batch_id)
