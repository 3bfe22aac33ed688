"""Sends webhooks when background responses and batches have ended, signed as OpenAI signs them (Standard Webhooks)."""

import asyncio
import base64
import hmac
import json
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.error import HTTPError, URLError

from threadmill_emulator.ids import new_id
from threadmill_emulator.responses.response import Response
from threadmill_emulator.scripting.webhooks import WebhookPlan
from threadmill_emulator.state.batches import OVER, Batch
from threadmill_emulator.state.server_state import ServerState

#: How often the end of a response or a batch is looked for, in seconds.
LOOK_S = 0.02

#: A webhook is sent so often until it is taken, with growing pauses. OpenAI tries for up to three days.
TRIES, FIRST_PAUSE_S = 5, 0.2

TIMEOUT_S = 5.0

#: Receivers are local: proxies of the environment are not used.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Webhooks:
    """`secret`: what signs the webhooks, `whsec_` and base64; None: they have no signature.

    `sent` counts the webhooks that the receiver has taken.
    """

    def __init__(self, plan: WebhookPlan, secret: str | None, clock: Callable[[], float]) -> None:
        self.plan = plan
        self.sent = 0
        self._key = base64.b64decode(secret.removeprefix("whsec_")) if secret else None
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def response_created(self, state: ServerState, response: Response) -> None:
        """Sends `response.STATUS` when a background response has ended."""

        def ended() -> str | None:
            state.responses.advance(response)
            return None if response.ended is None else response.status

        if response.asked.background:
            self._start(self._follow("response", response.id, ended, lambda: state.responses.knows(response)))

    def batch_created(self, state: ServerState, batch: Batch) -> None:
        """Sends `batch.STATUS` when a batch has ended."""

        def ended() -> str | None:
            status = state.batches.get(batch.id).status
            return status if status in OVER else None

        self._start(self._follow("batch", batch.id, ended, lambda: True))

    def _start(self, task: Coroutine[Any, Any, None]) -> None:
        if self.plan.url is None:
            task.close()
            return
        started = asyncio.create_task(task)
        self._tasks.add(started)
        started.add_done_callback(self._tasks.discard)

    async def _follow(self, kind: str, id: str, ended: Callable[[], str | None], exists: Callable[[], bool]) -> None:
        plan = self.plan
        while (status := ended()) is None:
            await asyncio.sleep(LOOK_S)
            if not exists():
                return
        event = self._event(f"{kind}.{status}", id)
        if plan.delay_s:
            await asyncio.sleep(plan.delay_s)
        webhook_id = new_id("wh")
        for _ in range(plan.times):
            await self._send(webhook_id, event)

    def _event(self, type: str, id: str) -> bytes:
        event = {"id": new_id("evt"), "object": "event", "created_at": int(self._clock()), "type": type}
        return json.dumps(event | {"data": {"id": id}}).encode()

    async def _send(self, webhook_id: str, event: bytes) -> None:
        for number in range(TRIES):
            if await asyncio.to_thread(self._is_taken, webhook_id, event):
                self.sent += 1
                return
            await asyncio.sleep(FIRST_PAUSE_S * 2**number)

    def _is_taken(self, webhook_id: str, event: bytes) -> bool:
        timestamp = str(int(self._clock()))
        headers = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "content-type": "application/json"}
        if self._key is not None:
            signature = hmac.digest(self._key, f"{webhook_id}.{timestamp}.".encode() + event, "sha256")
            headers["webhook-signature"] = "v1," + base64.b64encode(signature).decode()
        try:
            with _OPENER.open(urllib.request.Request(self.plan.url or "", event, headers), timeout=TIMEOUT_S):
                return True
        except (HTTPError, URLError, OSError):
            return False
