"""A server that receives callbacks."""

import json
from typing import Any


class Receiver:
    """An ASGI app that keeps each callback and answers what the test wants: statuses in turn, then 204."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.answers = True  #: False: it waits until the caller hangs up

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.received.append(({name.decode(): value.decode() for name, value in scope["headers"]}, body))
        if not self.answers:
            await receive()  # until the caller hangs up
            return
        status = self.statuses.pop(0) if self.statuses else 204
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b""})
