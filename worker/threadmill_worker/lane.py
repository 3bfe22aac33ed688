"""The batch lane: jobs wait together, go to the provider in one file, and come back with their answers.

An answered job returns to the queue as one whose run has just been seen to end: an ordinary attempt reads it to the
end. One that the provider would not or did not answer returns as it came, and runs the ordinary way.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

import structlog

from threadmill.policy import Policy
from threadmill.record import JobRecord, LeftoverRecord, RemoteBatch
from threadmill.settings import Settings
from threadmill_worker.actions import ReadAnswer, StartRun
from threadmill_worker.drivers.driver import Order
from threadmill_worker.drivers.remote_batches import Answered, BatchesAway, BatchesRefused, RemoteBatches, request_line
from threadmill_worker.lifecycle import next_action
from threadmill_worker.materials import NONE
from threadmill_worker.observe import LOOK_SHARE, observe
from threadmill_worker.parking import Parking, new_batch
from threadmill_worker.progress import Progress
from threadmill_worker.redis_clock import RedisClock
from threadmill_worker.runner import begin
from threadmill_worker.servers import NotServed, Servers, wants_of

log = structlog.get_logger(__name__)

#: A worker is at a remote batch for so long at a time, at most: to upload it, or to take in its answers.
LONGEST_STEP_S = 300.0

#: Between two looks at a remote batch at most: most take minutes to hours.
LONGEST_PAUSE_S = 120.0

#: The provider gives up after a day; when it says nothing for longer than this, so do we.
GIVEN_UP_S = 26 * 3600


class Lane:
    """`send(job_id)` puts a message on the queue; it is called in a thread."""

    def __init__(
        self,
        settings: Settings,
        parking: Parking,
        servers: Servers,
        send: Callable[[str], None],
        clock: RedisClock,
    ) -> None:
        self._settings = settings
        self._parking = parking
        self._servers = servers
        self._send = send
        self._clock = clock
        self._look_at: dict[str, float] = {}

    async def once(self) -> None:
        """Packs what waits, and sees to each remote batch that is due."""
        await self._clock.ready()
        for lane in await self._parking.lanes():
            endpoint = lane.partition("/")[0]
            if endpoint in self._servers.ready:
                batch = new_batch(uuid.uuid4().hex, endpoint, self._clock.moment())
                packed = await self._parking.pack(lane, batch, self._settings.endpoints[endpoint])
                if packed:
                    log.info("remote batch packed", batch=batch.name, lane=lane, jobs=packed)
        known = await self._parking.remote_batches()
        self._look_at = {batch.name: self._look_at.get(batch.name, 0.0) for batch in known}
        due = [batch for batch in known if batch.endpoint in self._servers.ready and self._is_due(batch)]
        await asyncio.gather(*(self._see_to(batch.name) for batch in due))

    def _is_due(self, batch: RemoteBatch) -> bool:
        return self._clock.now() >= self._look_at[batch.name]

    async def _see_to(self, name: str) -> None:
        async with self._parking.holding(name) as batch:
            if batch is None:
                return
            age = self._clock.now() - batch.made_at.timestamp()
            policy = self._settings.endpoints[batch.endpoint]
            pause_s = min(max(age * LOOK_SHARE, policy.poll_first_s), LONGEST_PAUSE_S)
            self._look_at[name] = self._clock.now() + pause_s
            try:
                async with asyncio.timeout(LONGEST_STEP_S):
                    await self._go_on(batch, self._servers.batches(batch.endpoint))
            except BatchesRefused as error:
                await self._dissolve(await self._parking.get(name), str(error))
            except (BatchesAway, TimeoutError) as error:
                log.warning("remote batch in trouble", batch=name, reason=str(error))
                patience_s = GIVEN_UP_S if batch.batch_id else policy.unreachable_s
                if age > patience_s:
                    reason = f"the server has not answered for {patience_s:.0f} s"
                    await self._dissolve(await self._parking.get(name), reason)

    async def _go_on(self, batch: RemoteBatch, remote: RemoteBatches) -> None:
        if batch.batch_id is None:
            sent = await self._send_off(batch, remote)
            if sent is None:
                return
            batch = sent
        assert batch.batch_id is not None
        seen = await remote.look(batch.batch_id)
        jobs = {_mark(job): job for job in await self._parking.jobs(batch)}
        if not seen.over:
            if not jobs and seen.status != "cancelling":
                await remote.cancel(batch.batch_id)  # all of them were cancelled: nobody wants it any more
            return
        strays = []
        for file_id in seen.files:
            async for each in remote.read(file_id):
                if not await self._return(batch, jobs, each) and each.run is not None:
                    strays.append(LeftoverRecord(endpoint=batch.endpoint, kind="response", id=each.run.id))
        await self._dissolve(batch, seen.reason or f"it was {seen.status} without them", seen.files, strays)

    async def _send_off(self, batch: RemoteBatch, remote: RemoteBatches) -> RemoteBatch | None:
        """Uploads its requests and starts it; what an earlier try may have made is looked for first."""
        if batch.file_id is None:
            file_id = await remote.find_file(batch.name) if batch.sending else None
            if file_id is None:
                requests = await self._requests(batch)
                if not requests:
                    await self._dissolve(batch, "no job is left in it")
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
        """A line for each of its jobs that this worker can serve; the others go on by themselves, and say why not."""
        lines = []
        for job in await self._parking.jobs(batch):
            place = self._begin(job)
            try:
                server = await self._servers.serve(job)
                await server.feed.close()
                request = await server.request(place) if server.request else None
            except NotServed as error:
                log.warning("job leaves the batch lane", job_id=job.id, reason=str(error))
                request = None
            if request is None:
                await self._let_go(job, batch, place)
            else:
                lines.append(request_line(_mark(job), request))
        return b"".join(lines)

    async def _return(self, batch: RemoteBatch, jobs: dict[str, JobRecord], each: Answered) -> bool:
        """Whether the job was still waiting for it."""
        job = jobs.pop(each.custom_id, None)
        if job is None:
            return False
        if each.run is None:
            log.warning("job leaves the batch lane", job_id=job.id, reason=each.reason)
        policy = self._settings.endpoints[batch.endpoint]
        return await self._let_go(job, batch, answered(self._begin(job), each, policy, self._clock.now()))

    async def _dissolve(
        self,
        batch: RemoteBatch | None,
        reason: str,
        files: tuple[str, ...] = (),
        strays: list[LeftoverRecord] | None = None,
    ) -> None:
        """Jobs still in it go on the ordinary way; its files are deleted."""
        if batch is None:
            return
        for job in await self._parking.jobs(batch):
            log.warning("job leaves the batch lane", job_id=job.id, reason=reason)
            await self._let_go(job, batch, self._begin(job))
        mine = [file_id for file_id in (batch.file_id, *files) if file_id]
        left = [LeftoverRecord(endpoint=batch.endpoint, kind="file", id=file_id) for file_id in mine]
        await self._parking.forget(batch, [*left, *(strays or ())])
        log.info("remote batch over", batch=batch.name)

    async def _let_go(self, job: JobRecord, batch: RemoteBatch, place: Progress) -> bool:
        unparked = await self._parking.unpark(job.id, batch, place)
        if unparked:  # if its message is lost, the sweep sends another
            await asyncio.to_thread(self._send, job.id)
        return unparked

    def _begin(self, job: JobRecord) -> Progress:
        """Its place as if it had just been claimed: the time in the lane is not its own."""
        endpoint = self._settings.endpoints[self._settings.endpoint_name(job.job.endpoint)]
        claimed = job.model_copy(update={"started_at": self._clock.moment()})
        return begin(claimed, wants_of(job.job, endpoint, self._settings, NONE))


def answered(place: Progress, each: Answered, policy: Policy, now: float) -> Progress:
    """The place of a job whose run has been seen to its end elsewhere."""
    if each.run is None:
        return place
    place = replace(place, thread_id="", messages_sent=place.messages)
    place = observe(place, StartRun(1), each.run, policy, now)
    read = ReadAnswer(each.run.id)
    return observe(place, read, each.answer, policy, now) if next_action(place, policy, now) == read else place


def _mark(job: JobRecord) -> str:
    return Order(job.id, job.job, life=len(job.history)).mark
