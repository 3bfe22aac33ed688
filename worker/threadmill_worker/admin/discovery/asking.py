"""Sends the requests of a check, and collects what they show."""

from collections.abc import Callable
from typing import Any

from threadmill_worker.admin.discovery import replies
from threadmill_worker.admin.discovery.findings import Finding, said
from threadmill_worker.drivers.http.calls import Http
from threadmill_worker.drivers.http.exchange import Cause, Reply, Unreached, exchange


class Asker:
    """The requests to one server. `findings`: what they have shown; `found` is called with each.

    `limit_s`: how long one reply may take.
    """

    def __init__(self, http: Http, limit_s: float, found: Callable[[Finding], None]) -> None:
        self._http = http
        self._limit_s = limit_s
        self._found = found
        self.findings: list[Finding] = []

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, stream: bool = False) -> Reply:
        """Sends a request. Raises Unreached.

        Sends it twice if the connection breaks: a server may close one that it kept after the last reply.
        """
        try:
            return await exchange(self._http, method, path, body, limit_s=self._limit_s, stream=stream)
        except Unreached as error:
            if error.cause is not Cause.BROKEN:
                raise
        return await exchange(self._http, method, path, body, limit_s=self._limit_s, stream=stream)

    async def ask_quietly(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply | None:
        """Sends a request; None: there is no reply."""
        try:
            return await self.ask(method, path, body)
        except Unreached:
            return None

    def find(self, feature: str, has: bool | None, how: str) -> None:
        self.add(Finding(feature, has, how))

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._found(finding)


def stream_said(reply: Reply, events: list[dict[str, Any]]) -> str:
    """Returns the reply to a request for a stream in short."""
    if reply.status != 200:
        return said(reply)
    if not reply.is_stream:
        return f"200 with {reply.content_type or 'no content type'}, not an event stream"
    return replies.error_in_stream(events) or f"{len(events)} events"


async def ask_feature(asker: Asker, feature: str, path: str, body: dict[str, Any], judge: Any) -> Reply | None:
    """Sends a prompt that shows one feature."""
    try:
        reply = await asker.ask("POST", path, body)
    except Unreached as error:
        asker.find(feature, None, f"POST {path}: {error}")
        return None
    has = judge(reply)
    asker.find(feature, has, f"POST {path}: {_what(reply, has)}")
    return reply


def _what(reply: Reply, has: bool | None) -> str:
    if reply.status != 200:
        return said(reply)
    return {
        True: "200",
        False: "200, but the answer is without it",
        None: "200, but the answer does not show it (the model may lack it)",
    }[has]
