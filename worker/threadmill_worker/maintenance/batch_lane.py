"""The batch lane: jobs wait together, go to the provider in one file, and come back with their answers.

An answered job returns to the queue as one whose run has just been seen to end: an ordinary attempt reads it to the
end. Where `lane_fallback` is "none", no job leaves the lane for the ordinary price: one that got no answer goes into
another remote batch, or returns to the queue as one that has failed.
"""

import asyncio
import uuid
from collections.abc import Callable

import structlog

from threadmill.errors import NewerRecord
from threadmill.job.result import Failure, FailureKind
from threadmill.settings.settings import Settings
from threadmill.store.batch_records import RemoteBatch
from threadmill.store.records import JobRecord
from threadmill.store.remote_records import LeftoverRecord
from threadmill.stored import warn
from threadmill_worker.attempt.context import Contexts
from threadmill_worker.attempt.not_served import NotServed
from threadmill_worker.drivers.batch_api import BatchesAway, BatchesRefused, BatchTooLarge, RemoteBatches, request_line
from threadmill_worker.drivers.tags import job_tag
from threadmill_worker.lifecycle.batch_lane import answered, in_turn, refused, verdict
from threadmill_worker.lifecycle.batch_observations import Answered, BatchObservation
from threadmill_worker.lifecycle.run_observed import POLL_SHARE
from threadmill_worker.maintenance.lane_exits import Exits, remains
from threadmill_worker.store.batch_lane import Parking, new_batch
from threadmill_worker.store.redis_clock import RedisClock

log = structlog.get_logger(__name__)

#: A worker is at a remote batch for so long at a time, at most: to upload it, or to take in its answers.
LONGEST_STEP_S = 300.0

#: Between two looks at a remote batch at most: most take minutes to hours.
LONGEST_PAUSE_S = 120.0

#: The provider gives up after a day; jobs that may run at full price wait no longer than this for a silent one.
GIVEN_UP_S = 26 * 3600

#: Somebody fixes the key or the account; until then a remote batch that is under way, and paid for, is not given up.
_FIXABLE = frozenset({FailureKind.UNAUTHORISED, FailureKind.QUOTA})


class Lane:
    """`send(job_id)` puts a message on the queue; it is called in a thread."""

    def __init__(
        self,
        settings: Settings,
        parking: Parking,
        servers: Contexts,
        send: Callable[[str], None],
        clock: RedisClock,
    ) -> None:
        self._settings = settings
        self._parking = parking
        self._servers = servers
        self._exits = Exits(settings, parking, send, clock)
        self._clock = clock
        self._look_at: dict[str, float] = {}

    async def once(self) -> None:
        """Fails the overdue jobs, packs those that wait, and works on each remote batch that is due."""
        await self._clock.ready()
        await self._exits.fail_overdue()
        for lane in await self._parking.lanes():
            endpoint = lane.partition("/")[0]
            if endpoint in self._servers.ready:
                batch = new_batch(uuid.uuid4().hex, lane, self._clock.moment())
                packed = await self._parking.pack(lane, batch, self._settings.endpoints[endpoint])
                if packed:
                    log.info("remote batch packed", batch=batch.name, lane=lane, jobs=packed)
        known = await self._parking.remote_batches()
        self._look_at = {batch.name: self._look_at.get(batch.name, 0.0) for batch in known}
        ready = [batch for batch in known if batch.endpoint in self._servers.ready]
        due = [batch for batch in in_turn(ready) if self._is_due(batch)]
        await asyncio.gather(*(self._see_to(batch.name) for batch in due))

    def _is_due(self, batch: RemoteBatch) -> bool:
        is_late = batch.not_before is None or self._clock.moment() >= batch.not_before
        return is_late and self._clock.now() >= self._look_at[batch.name]

    async def _see_to(self, name: str) -> None:
        async with self._parking.holding(name) as batch:
            if batch is None:
                return
            try:
                await self._advance(batch)
            except NewerRecord as error:
                warn(f"remote batch {name} is left alone: {error.reason} (job {error.job_id}); update this worker")

    async def _advance(self, batch: RemoteBatch) -> None:
        """Raises NewerRecord if one of its jobs is left to newer workers, and so is the batch."""
        age = self._clock.now() - batch.made_at.timestamp()
        limits = self._settings.endpoints[batch.endpoint]
        pause_s = min(max(age * POLL_SHARE, limits.first_poll_s), LONGEST_PAUSE_S)
        self._look_at[batch.name] = self._clock.now() + pause_s
        try:
            async with asyncio.timeout(LONGEST_STEP_S):
                await self._go_on(batch, self._servers.batches(batch.endpoint))
        except (BatchTooLarge, BatchesRefused, BatchesAway, TimeoutError) as error:
            current = await self._parking.get(batch.name)
            if current is not None:
                await self._on_error(current, error, age)

    async def _on_error(self, batch: RemoteBatch, error: Exception, age: float) -> None:
        limits = self._settings.endpoints[batch.endpoint]
        match error:
            case BatchTooLarge():
                await self._exits.shrink(batch, str(error), remains(batch), by_itself=error.by_itself)
                return
            case BatchesRefused() if not (batch.batch_id and error.failure.kind in _FIXABLE):
                await self._exits.give_up(batch, error.failure)
                return
        reason = str(error) or f"it was not done within {LONGEST_STEP_S:.0f} s"
        log.warning("remote batch in trouble", batch=batch.name, reason=reason)
        patience_s = GIVEN_UP_S if batch.batch_id else limits.unreachable_limit_s
        if self._exits.falls_back(batch) and age > patience_s:
            await self._exits.dissolve(batch, f"the server has not answered for {patience_s:.0f} s")
        elif batch.reason != reason:  # it is tried for as long as its jobs may wait
            await self._parking.save(batch.model_copy(update={"reason": reason}))

    async def _go_on(self, batch: RemoteBatch, remote: RemoteBatches) -> None:
        if batch.batch_id is None:
            sent = await self._send_off(batch, remote)
            if sent is None:
                return
            batch = sent
        assert batch.batch_id is not None
        seen = await remote.look(batch.batch_id)
        jobs = {_tag(job): job for job in await self._parking.jobs(batch)}
        if not seen.over:
            if batch.reason is not None and seen.status == "in_progress":
                await self._parking.save(batch.model_copy(update={"reason": None}))
            if not jobs and seen.status != "cancelling":
                await remote.cancel(batch.batch_id)  # all of them were cancelled: nobody wants it any more
            return
        strays, said = [], {}
        for file_id in seen.files:
            async for each in remote.read(file_id):
                if each.failure is not None and each.custom_id in jobs:
                    said[each.custom_id] = each.failure
                elif each.run is not None and not await self._return(batch, jobs, each):
                    strays.append(LeftoverRecord(endpoint=batch.endpoint, kind="response", id=each.run.id))
        await self._conclude(batch, remote, seen, jobs, said, strays)

    async def _conclude(
        self,
        batch: RemoteBatch,
        remote: RemoteBatches,
        seen: BatchObservation,
        jobs: dict[str, JobRecord],
        said: dict[str, Failure],
        strays: list[LeftoverRecord],
    ) -> None:
        """It is over. `jobs`: those without an answer, by custom id; `said`: why some of them have none."""
        reason = seen.reason or next((each.message for each in said.values()), f"it was {seen.status} without them")
        left = [*remains(batch, seen.files), *strays]
        if not jobs:
            await self._exits.end(batch, left)
        elif self._exits.falls_back(batch):
            await self._exits.dissolve(batch, reason, left)
        elif seen.limited:
            await self._exits.shrink(batch, reason, left)
        else:
            wrong = await self._wrong(batch, remote, seen)
            limits, now = self._settings.endpoints[batch.endpoint], self._clock.now()
            for custom_id, job in jobs.items():
                if custom_id in said:
                    progress = refused(self._exits.progress_of(job), said[custom_id], batch.endpoint, limits, now)
                    await self._exits.let_go(job, progress)
                elif (failure := verdict(custom_id, seen, wrong)) is not None:
                    await self._exits.fail(job, failure)
            await self._exits.send_again(batch, reason, left)
        if not seen.limited:
            await self._exits.hurry(batch.lane)

    async def _wrong(self, batch: RemoteBatch, remote: RemoteBatches, seen: BatchObservation) -> dict[str, str]:
        """What is wrong with lines of its input file, by custom id."""
        if not seen.wrong or batch.file_id is None:
            return {}
        try:
            ids = await remote.custom_ids(batch.file_id)
        except BatchesRefused:  # the file cannot be read: all of its jobs fail
            return {}
        return {ids[line - 1]: reason for line, reason in seen.wrong.items() if 0 < line <= len(ids)}

    async def _send_off(self, batch: RemoteBatch, remote: RemoteBatches) -> RemoteBatch | None:
        """Uploads its requests and starts it; what an earlier try may have made is looked for first."""
        if batch.file_id is None:
            file_id = await remote.find_file(batch.name) if batch.sending else None
            if file_id is None:
                requests = await self._requests(batch)
                if not requests:
                    await self._exits.end(batch)
                    return None
                batch = await self._parking.save(batch.model_copy(update={"sending": True}))
                file_id = await remote.upload(batch.name, requests)
            batch = await self._parking.save(batch.model_copy(update={"sending": False, "file_id": file_id}))
        assert batch.file_id is not None
        batch_id = await remote.find(batch.name) if batch.sending else None
        if batch_id is None:
            batch = await self._parking.save(batch.model_copy(update={"sending": True}))
            batch_id = await remote.create(str(batch.file_id), batch.name)
        log.info("remote batch started", batch=batch.name, batch_id=batch_id)
        return await self._parking.save(batch.model_copy(update={"sending": False, "batch_id": batch_id}))

    async def _requests(self, batch: RemoteBatch) -> bytes:
        """A line for each of its jobs that this worker can serve."""
        lines = []
        for job in await self._parking.jobs(batch):
            failure = Failure(kind=FailureKind.REJECTED, message="the batch lane does not take this job any more")
            request = None
            try:
                request = await self._servers.batch_request(job, self._exits.progress_of(job))
            except NotServed as error:
                failure = error.failure
            if request is not None:
                lines.append(request_line(_tag(job), request))
            elif self._exits.falls_back(batch):
                log.warning("job leaves the batch lane for the full price", job_id=job.id, reason=failure.message)
                await self._exits.let_go(job, self._exits.progress_of(job))
            else:
                await self._exits.fail(job, failure)
        return b"".join(lines)

    async def _return(self, batch: RemoteBatch, jobs: dict[str, JobRecord], each: Answered) -> bool:
        """Whether the job was still waiting for it."""
        job = jobs.pop(each.custom_id, None)
        if job is None:
            return False
        limits = self._settings.endpoints[batch.endpoint]
        return await self._exits.let_go(job, answered(self._exits.progress_of(job), each, limits, self._clock.now()))


def _tag(job: JobRecord) -> str:
    return job_tag(job.id, len(job.history))
