"""The connection that all jobs with the same endpoint and key share in a worker process."""

from dataclasses import dataclass, field
from functools import partial

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.base.capabilities import Capabilities
from threadmill_worker.drivers.files import FileTransfer
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.client import Client, connect
from threadmill_worker.drivers.streaming.stream import StreamSlots
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics


@dataclass(frozen=True)
class Connection:
    """The client of an endpoint and a key, and facts known from the server's replies. All share `transfer`."""

    name: str
    endpoint: Endpoint
    client: Client
    transfer: FileTransfer
    slots: StreamSlots
    capabilities: Capabilities
    undeletable: set[str] = field(default_factory=set)  #: kinds of objects that the server cannot delete
    #: By model: fields of Chat Completions that the server refuses, and without which jobs can run.
    left_out: dict[str | None, frozenset[str]] = field(default_factory=dict)
    metrics: Metrics = UNCOUNTED

    @classmethod
    def open(
        cls,
        name: str,
        endpoint: Endpoint,
        transfer: FileTransfer,
        variable: str | None = None,
        metrics: Metrics = UNCOUNTED,
    ) -> "Connection":
        """Reads the key from the environment. Connects on the first call. `variable`: as in `connect`."""
        slots = StreamSlots(endpoint.max_connections // 2)
        capabilities = Capabilities(background=endpoint.supports.background)
        return cls(name, endpoint, connect(endpoint, variable), transfer, slots, capabilities, metrics=metrics)

    def api(self) -> Api:
        """Returns an `Api` that counts its own calls."""
        return Api(self.client, self.endpoint, partial(self.metrics.called, self.name))
