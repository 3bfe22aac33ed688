"""Deletes remote objects; kinds that a server cannot delete are not tried again."""

from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from threadmill.settings.endpoints.supports import Supports
from threadmill_worker.drivers.base.remote_objects import RemoteObjects
from threadmill_worker.lifecycle.observations import Deleted, Observation
from threadmill_worker.lifecycle.progress import Leftover

RESPONSE, FILE, RUN = Leftover("response", "resp_1"), Leftover("file", "file-1"), Leftover("run", "thread_1/run_1")


class Objects(RemoteObjects):
    """On a server that answers each deletion with one status."""

    def __init__(self, status: int, text: str = "", *, undeletable: set[str] | None = None, cancels: bool = True):
        api: Any = SimpleNamespace(
            endpoint=SimpleNamespace(base_url="http://server/v1", supports=Supports(cancel=cancels))
        )
        super().__init__(api, set() if undeletable is None else undeletable)
        self.status = status
        self.text = text
        self.calls = 0

    async def probe(self) -> Observation:
        raise NotImplementedError

    async def _delete(self, kind: str, object_id: str) -> None:
        self.calls += 1
        if self.status >= 400:
            request = httpx2.Request("DELETE", "http://server/v1/things/1")
            response = httpx2.Response(self.status, text=self.text, request=request)
            error = openai.NotFoundError if self.status == 404 else openai.APIStatusError
            raise error("no", response=response, body=None)


@pytest.mark.parametrize(
    ("status", "text", "calls"),
    [
        (200, "", 2),
        (404, "", 2),
        (405, "", 1),
        (501, "", 1),
        (500, "DELETE responses is not supported for deepseek", 1),  # LiteLLM's bridge
    ],
)
async def test_what_a_server_cannot_delete_is_tried_once(status: int, text: str, calls: int) -> None:
    objects = Objects(status, text)
    for _ in range(2):
        assert await objects.delete(RESPONSE) == Deleted()
    assert objects.calls == calls


@pytest.mark.parametrize("status", [400, 409, 429, 500, 503])
async def test_other_refusals_are_tried_again(status: int) -> None:
    objects = Objects(status)
    for _ in range(2):
        assert not isinstance(await objects.delete(RESPONSE), Deleted)
    assert objects.calls == 2


async def test_other_kinds_are_still_deleted() -> None:
    undeletable: set[str] = set()
    await Objects(405, undeletable=undeletable).delete(RESPONSE)
    later = Objects(200, undeletable=undeletable)
    assert [await later.delete(leftover) for leftover in (RESPONSE, FILE)] == [Deleted(), Deleted()]
    assert later.calls == 1


async def test_a_server_without_cancellation_receives_none() -> None:
    objects = Objects(500, cancels=False)
    assert await objects.delete(RUN) == Deleted()
    assert objects.calls == 0
