"""The class Store: the producer's operations on all records, which the rooms jobs/, fleet/ and gateway/ define."""

from threadmill.store.fleet.metrics import FleetStore
from threadmill.store.fleet.queue import QueueStore
from threadmill.store.fleet.stats import StatStore
from threadmill.store.gateway.api_keys import ApiKeyStore
from threadmill.store.gateway.file_batches import FileBatchStore
from threadmill.store.gateway.sessions import SessionStore
from threadmill.store.gateway.webhooks import WebhookStore
from threadmill.store.jobs.batch_lists import BatchListStore
from threadmill.store.jobs.callbacks import CallbackStore
from threadmill.store.jobs.changes import ChangeStore
from threadmill.store.jobs.results import ResultStore


class Store(
    ChangeStore,
    ResultStore,
    BatchListStore,
    CallbackStore,
    FleetStore,
    QueueStore,
    StatStore,
    ApiKeyStore,
    SessionStore,
    FileBatchStore,
    WebhookStore,
):
    """The producer's operations on the records of one Redis."""
