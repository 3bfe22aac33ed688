"""Makes single calls, counts them, and returns their replies as JSON objects without secrets."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import openai

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.http.client import Client
from threadmill_worker.drivers.replies.json import NotTheApi, parse_id, parse_object

_PAGE = 100
_PAGES = 20

#: Entries that `pages` reads at most.
MOST_ENTRIES = _PAGE * _PAGES


class Reply(NamedTuple):
    body: dict[str, Any]
    headers: Mapping[str, str]


class Api:
    """The calls to one server for one job. `calls`: how many were made. `headers`: those of the last reply, if any.

    `called` receives how each call ended, and how many seconds it took: see Metrics.called.
    """

    def __init__(
        self, client: Client, endpoint: Endpoint, called: Callable[[str, float], None] = lambda *_: None
    ) -> None:
        self.sdk = client.sdk
        self.http = client.http
        self.endpoint = endpoint
        self.calls = 0
        self._called = called
        self.headers: Mapping[str, str] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts the call that is made inside, and keeps the headers of its reply if that is an error."""
        self.calls += 1
        self.headers = {}
        began_at, status = time.perf_counter(), "2xx"
        try:
            yield
        except openai.APIStatusError as error:
            self.headers, status = error.response.headers, str(error.status_code)
            raise
        except (openai.APITimeoutError, TimeoutError):
            status = "timeout"
            raise
        except Exception:
            status = "connection"
            raise
        except BaseException:
            status = "cancelled"
            raise
        finally:
            self._called(status, time.perf_counter() - began_at)

    async def call(self, request: Awaitable[Any]) -> Reply:
        """Makes a call of `http`, or of the SDK's `with_raw_response`. Raises NotTheApi, openai.OpenAIError."""
        with self.counting():
            raw = await request
        self.headers = raw.headers
        return Reply(parse_object(str(raw.text)), raw.headers)

    async def entries(self, call: Awaitable[Any]) -> list[dict[str, Any]]:
        """Returns the entries of a list."""
        return _data((await self.call(call)).body)

    async def pages(self, call: Callable[..., Awaitable[Any]], **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Yields the entries of all pages of a list, each once. Servers that ignore `after` repeat the first page."""
        seen: set[str] = set()
        while len(seen) < MOST_ENTRIES:
            body = (await self.call(call(limit=_PAGE, **query))).body
            page = {parse_id(entry): entry for entry in _data(body)}
            for entry in (page[each] for each in page if each not in seen):
                yield entry
            if not body.get("has_more") or page.keys() <= seen:
                return
            seen |= page.keys()
            query["after"] = list(page)[-1]


def _data(body: dict[str, Any]) -> list[dict[str, Any]]:
    data = body.get("data")
    if not isinstance(data, list):
        raise NotTheApi("the reply is not a list of the API")
    return [entry for entry in data if isinstance(entry, dict)]
