"""The base class of drivers whose runs are at work on the server between two calls: they are polled, or streamed."""

from typing import ClassVar

from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.base.wire_driver import WireDriver
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.streaming.events import Events
from threadmill_worker.drivers.streaming.stream import EventStream
from threadmill_worker.live.buffer import EventBuffer


class PolledDriver(WireDriver):
    """See `Driver`. `buffer` receives the text of the runs' event streams, if the job asks for them."""

    events: ClassVar[Events]  #: of the wire's streams

    def __init__(self, connection: Connection, spec: JobSpec, buffer: EventBuffer) -> None:
        super().__init__(connection, spec, buffer)
        slots = connection.slots if spec.job.stream and connection.endpoint.supports.streaming else None
        self._stream = EventStream(buffer, connection.endpoint, self.events, slots, spec.features.model)

    @property
    def has_stream(self) -> bool:
        return self._stream.is_stream

    async def run_changed(self) -> None:
        await self._stream.run_changed()

    async def close(self) -> None:
        await self._stream.close()
