"""One request of a check, and its reply whatever the status. For `threadmill doctor`, which judges replies itself."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import aiohttp
import openai

from threadmill.secrets.redaction import redact
from threadmill_worker.drivers.http.calls import Http, Post
from threadmill_worker.drivers.replies.json import UnusableReply

#: Characters of the reason why there is no reply.
_REASON_LIMIT = 300

#: Bytes of an event stream that are read. The prompts of checks have short answers.
_STREAM_BYTES = 1_000_000


class Cause(Enum):
    """Why there is no reply."""

    HOST = auto()  #: the host's name is unknown
    CONNECTION = auto()  #: nothing listens there, or the network is down
    TLS = auto()  #: no secure connection: a certificate that is not trusted, or a server without TLS
    TIMEOUT = auto()  #: no complete reply in time
    BROKEN = auto()  #: the connection broke, or what came is not HTTP
    UNUSABLE = auto()  #: the reply is too large


class Unreached(Exception):
    """There is no reply. The text is the reason, without secrets."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(redact(reason)[:_REASON_LIMIT])
        self.cause = cause


@dataclass(frozen=True)
class Reply:
    """`text`: the body without secrets; that of an event stream, too."""

    status: int
    text: str
    content_type: str = ""
    location: str = ""  #: where a redirect leads

    @property
    def is_stream(self) -> bool:
        return self.content_type.startswith("text/event-stream")


async def exchange(
    http: Http, method: str, path: str, body: dict[str, Any] | None = None, *, limit_s: float, stream: bool = False
) -> Reply:
    """Sends a request and returns its reply. Raises Unreached, also if no complete reply has come after `limit_s`.

    `path`: after base_url, with its query. `stream`: ask for an event stream.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await (_streamed(http, path, body or {}) if stream else _replied(http, method, path, body))
    except openai.APIStatusError as error:
        headers = error.response.headers
        return Reply(
            error.status_code, redact(error.response.text), headers.get("content-type", ""), headers.get("location", "")
        )
    except TimeoutError:
        raise Unreached(Cause.TIMEOUT, f"no complete reply in {limit_s:g} s") from None
    except (openai.APIConnectionError, UnusableReply, OSError) as error:
        raise _unreached(error) from None


async def _replied(http: Http, method: str, path: str, body: dict[str, Any] | None) -> Reply:
    where, _, query = path.strip("/").partition("?")
    segments = where.split("/")
    match method:
        case "GET":
            raw = await http.get(*segments, **dict(part.split("=", 1) for part in query.split("&") if part))
        case "DELETE":
            raw = await http.delete(*segments)
        case _:
            raw = await http.send(Post(segments, body or {}), waits=True)
    return Reply(200, redact(raw.text), raw.headers.get("content-type", ""))


async def _streamed(http: Http, path: str, body: dict[str, Any]) -> Reply:
    async with http.stream(Post(path.strip("/").split("/"), body), waits=True) as reply:
        text = bytearray()
        async for chunk in reply.content.iter_any():
            text += chunk
            if len(text) > _STREAM_BYTES:
                break
        return Reply(200, redact(text.decode("utf-8", "replace")), reply.headers.get("content-type", ""))


def _unreached(error: BaseException) -> Unreached:
    causes = list(_chain(error))
    cause = next((cause for kind, cause in _CAUSES for each in causes if isinstance(each, kind)), Cause.BROKEN)
    reason = causes[-1] if cause is not Cause.TLS else causes[min(1, len(causes) - 1)]
    return Unreached(cause, str(reason) or type(reason).__name__)


#: The first that one of the causes is an instance of decides.
_CAUSES: tuple[tuple[type[BaseException], Cause], ...] = (
    (UnusableReply, Cause.UNUSABLE),
    (aiohttp.ClientConnectorDNSError, Cause.HOST),
    (aiohttp.ClientSSLError, Cause.TLS),
    (TimeoutError, Cause.TIMEOUT),
    (aiohttp.ClientConnectorError, Cause.CONNECTION),
    (ConnectionRefusedError, Cause.CONNECTION),
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
