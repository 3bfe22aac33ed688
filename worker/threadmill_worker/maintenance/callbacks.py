"""Sends the callbacks that are due. All workers do this; each delivery is taken by one."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from threadmill.errors import SettingsError
from threadmill.secrets.signature import BadSecret, headers, key_of
from threadmill.settings import credentials
from threadmill.settings.settings import Settings
from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill_worker.callbacks.body import CONTENT_TYPES, batch_data, body, job_data
from threadmill_worker.callbacks.post import Reply, post
from threadmill_worker.callbacks.schedule import delay_s
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.store.callbacks import CallbackStore
from threadmill_worker.store.jobs import JobStore

log = structlog.get_logger(__name__)

#: How many callbacks a worker sends at the same time, and how many of them to one host: one that hangs leaves the rest.
SENDERS = 20
SENDERS_OF_HOST = 10


class Callbacks:
    """Sends callbacks for one worker process. `now`: Redis' time in seconds since 1970."""

    def __init__(
        self,
        settings: Settings,
        store: CallbackStore,
        job_store: JobStore,
        now: Callable[[], float],
        metrics: Metrics = UNCOUNTED,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._store = store
        self._job_store = job_store
        self._now = now
        self.sending: set[asyncio.Task[None]] = (
            set()
        )  #: senders at work; another worker repeats what a cancelled one had
        self._hosts = Counter[str]()  #: attempts under way

    async def once(self) -> None:
        """Begins to send what is due, as far as senders are free. Does not wait for slow receivers."""
        while len(self.sending) < SENDERS and (delivery := await self._take()) is not None:
            task = asyncio.create_task(self._send(delivery))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _take(self) -> Delivery | None:
        """Returns a delivery that is due, to a host with a free sender, and counts it as under way."""
        delivery = await self._store.take_delivery(
            [host for host, count in self._hosts.items() if count >= SENDERS_OF_HOST]
        )
        if delivery is not None:
            self._hosts[delivery.host] += 1
        return delivery

    async def _send(self, delivery: Delivery | None) -> None:
        """Sends a delivery, then others as long as some are due."""
        try:
            while delivery is not None:
                try:
                    await self._settle(delivery, await self._sent(delivery))
                finally:
                    self._hosts -= Counter([delivery.host])  # drops hosts that have none
                delivery = await self._take()
        except Exception:  # the lease of a delivery expires, and it is sent again
            log.exception("callbacks could not be sent", callback=delivery and delivery.id)

    async def _sent(self, delivery: Delivery) -> Reply:
        receiver = delivery.receiver
        try:
            key = _key(receiver.secret_env) if receiver.secret_env else None
        except SettingsError as error:  # another worker may have the secret
            return Reply(str(error))
        content = body(delivery, await self._data(delivery))
        now = self._now()
        sent = headers(delivery.id, int(now), content, key)
        sent |= {"Content-Type": CONTENT_TYPES[receiver.format], "User-Agent": "threadmill"}
        return await post(receiver.url, content, sent, self._settings.callback_hosts, now)

    async def _data(self, delivery: Delivery) -> dict[str, Any]:
        if delivery.kind == "batch":
            return batch_data(delivery, await self._store.batch_record(delivery.subject))
        result = await self._job_store.result(delivery.subject)
        # A job that was redriven since has another result, or none yet.
        is_its_own = result is not None and f"job.{result.state}" == delivery.event
        return job_data(delivery, result if is_its_own else None)

    async def _settle(self, delivery: Delivery, reply: Reply) -> None:
        after_s = None if reply.is_final else delay_s(delivery.attempts, random.random(), reply.retry_after_s)
        if reply.is_taken:
            state = DeliveryState.DELIVERED
        else:
            state = DeliveryState.DEAD if after_s is None else DeliveryState.PENDING
        if not await self._store.settle(delivery, state, reply.reason, reply.status, after_s):
            return
        self._metrics.callback_sent("failed" if state is DeliveryState.PENDING else state.value)
        named = {"callback": delivery.id, delivery.kind: delivery.subject, "attempt": delivery.attempts}
        if state is DeliveryState.DELIVERED:
            log.info("callback delivered", **named)
        elif state is DeliveryState.DEAD:
            log.error("callback abandoned", reason=reply.reason, **named)
        else:
            log.warning("callback failed", reason=reply.reason, next_attempt_s=round(after_s or 0), **named)


def _key(variable: str) -> bytes:
    """Returns the key in a variable. Raises SettingsError, which names the variable and not its value."""
    secret = credentials.required(variable, "the signature of a callback")
    try:
        return key_of(secret)
    except BadSecret as error:
        raise SettingsError(f"the value of {variable} is {error}") from None
