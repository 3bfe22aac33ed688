"""Everything that Redis holds of the ready queue at one moment, and the rules that hold at each moment."""

from collections import Counter
from collections.abc import Iterable, Mapping

import redis

from threadmill import JobState
from threadmill.job.result import TERMINAL
from threadmill.store.keys import Keys

PRIORITIES = ("interrupted", "high", "normal", "low")


class QueueSnapshot:
    """Reads all in two round trips: a test looks after each of hundreds of steps."""

    def __init__(self, store: redis.Redis, keys: Keys, queue: str, job_ids: Iterable[str], batches: Iterable[str]):
        self._keys = keys
        names: list[str] = store.keys(f"{keys.prefix}:*")
        rings = [name for name in names if name.startswith((keys.flow(""), keys.turns(""), keys.tenants("")))]
        sets = [keys.dispatched, keys.delayed, *rings]
        hashes = [keys.slots, keys.limited, keys.pool_jobs("limited"), *map(keys.record, job_ids)]
        hashes += map(keys.batch, batches)
        with store.pipeline() as pipe:
            pipe.llen(queue)
            for name in sets:
                pipe.zrange(name, 0, -1)
            for name in hashes:
                pipe.hgetall(name)
            self.messages, *read = pipe.execute()
        self._members: Mapping[str, list[str]] = dict(zip(sets, read, strict=False))
        self._hashes: Mapping[str, dict[str, str]] = dict(zip(hashes, read[len(sets) :], strict=True))
        self._jobs = {job_id: self._hashes[keys.record(job_id)] for job_id in job_ids}
        self.slots = {name: int(entry.split()[0]) for name, entry in self._hashes[keys.slots].items()}

    def state(self, job_id: str) -> str:
        return self._jobs[job_id]["state"]

    @property
    def dispatched(self) -> list[str]:
        return self._members[self._keys.dispatched]

    @property
    def have_all_ended(self) -> bool:
        return all(self.state(job_id) in TERMINAL for job_id in self._jobs)

    def _below(self, prefix: str) -> dict[str, list[str]]:
        """Returns the members of the sorted sets whose names begin so, by the rest of the name."""
        found = {name: members for name, members in self._members.items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): members for name, members in found.items()}

    def _ring(self, key: str) -> list[str]:
        return self._members.get(key, [])

    def places(self) -> Counter[str]:
        """How many places each job is in: a flow, dispatched, delayed, the lane, or waiting for its turn."""
        found = Counter[str]()
        for members in self._below(self._keys.flow("")).values():
            found.update(members)
        found.update(self.dispatched)
        found.update(self._members[self._keys.delayed])
        for job_id, record in self._jobs.items():
            if record["state"] == JobState.QUEUED and "remote_batch" in record:
                found[job_id] += 1
        for members in self._below(self._keys.turns("")).values():
            open_jobs = [job_id for job_id in members if self.state(job_id) not in TERMINAL]
            found.update(job_id for job_id in open_jobs[1:] if job_id not in found)
        return found

    def check(self) -> None:
        """Each queued job is in one place, and what Redis counts or lists of the jobs is right."""
        queued = [job_id for job_id in self._jobs if self.state(job_id) == JobState.QUEUED]
        assert self.places() == dict.fromkeys(queued, 1), "each queued job is in one place"
        self._check_rings()
        self._check_batches()
        self._check_permits()

    def _check_rings(self) -> None:
        """Rings have no empty entries."""
        flows = self._below(self._keys.flow("")).keys()
        tenants = {(each, tenant) for each in PRIORITIES for tenant in self._ring(self._keys.tenants(each))}
        assert tenants == {tuple(flow.split("|")[:2]) for flow in flows}
        assert {
            flow for priority, tenant in tenants for flow in self._ring(self._keys.flows(priority, tenant))
        } == flows
        assert self._hashes[self._keys.limited].keys() <= flows

    def _check_batches(self) -> None:
        """Batches count their dispatched jobs."""
        dispatched = Counter(self._jobs[job_id].get("batch") for job_id in self.dispatched)
        for name, fields in self._hashes.items():
            if name.startswith(self._keys.batch("")):
                assert int(fields.get("dispatched", 0)) == dispatched[name.removeprefix(self._keys.batch(""))]

    def _check_permits(self) -> None:
        """Permits of pools belong to open jobs."""
        ready = {job_id for members in self._below(self._keys.flow("")).values() for job_id in members}
        for job_id in self._hashes[self._keys.pool_jobs("limited")]:
            assert self.state(job_id) not in TERMINAL
            assert job_id not in ready or "progress" in self._jobs[job_id]
