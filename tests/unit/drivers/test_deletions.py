"""What is not deleted, and what is not tried again."""

import httpx2
import openai
import pytest

from threadmill_worker.drivers.deletions import Deletions
from threadmill_worker.lifecycle.observations import Deleted


class Thing:
    """Something on a server, whose deletion is answered with this status."""

    def __init__(self, status: int, text: str = "") -> None:
        self.status = status
        self.text = text
        self.calls = 0

    async def delete(self) -> None:
        self.calls += 1
        if self.status >= 400:
            request = httpx2.Request("DELETE", "http://server/v1/things/1")
            response = httpx2.Response(self.status, text=self.text, request=request)
            error = openai.NotFoundError if self.status == 404 else openai.APIStatusError
            raise error("no", response=response, body=None)


@pytest.mark.parametrize(("status", "calls"), [(200, 2), (404, 2), (405, 1), (501, 1)])
async def test_only_what_a_server_never_deletes_is_not_tried_again(status: int, calls: int) -> None:
    deletions, thing = Deletions(), Thing(status)
    for _ in range(2):
        assert await deletions.once("http://server/v1", "response", thing.delete) == Deleted()
    assert thing.calls == calls


async def test_a_bridge_that_says_so_with_500_is_not_asked_again() -> None:
    deletions, thing = Deletions(), Thing(500, "DELETE responses is not supported for deepseek")
    for _ in range(2):
        assert await deletions.once("http://server/v1", "response", thing.delete) == Deleted()
    assert thing.calls == 1


@pytest.mark.parametrize("status", [400, 409, 429, 500, 503])
async def test_a_refusal_that_may_pass_is_raised(status: int) -> None:
    deletions, thing = Deletions(), Thing(status)
    for _ in range(2):
        with pytest.raises(openai.APIStatusError):
            await deletions.once("http://server/v1", "response", thing.delete)
    assert thing.calls == 2


async def test_other_kinds_and_other_servers_are_still_tried() -> None:
    deletions, thing, other = Deletions(), Thing(405), Thing(200)
    await deletions.once("http://server/v1", "response", thing.delete)
    await deletions.once("http://server/v1", "file", other.delete)
    await deletions.once("http://elsewhere/v1", "response", other.delete)
    assert other.calls == 2
