"""When a vector store is ready: not when its server says so, but when its files are there."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import httpx2
import openai
import pytest

from threadmill.job.prompt import PromptJob
from threadmill_worker.drivers.files import Files, FileTransfer
from threadmill_worker.drivers.http.api import Reply
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.observations import Rejected, StoreSeen

NO_LIST = "no list"
SPEC = JobSpec("job", PromptJob(prompt="-"), "e")


class Server:
    """A store as its server shows it, and the list of its files; it counts how often the list is read."""

    def __init__(self, store: dict[str, Any], listed: Any) -> None:
        self.sdk = MagicMock()
        self.store = {"id": "vs_1", **store}
        self.listed = listed
        self.lists = 0

    async def call(self, request: object) -> Reply:
        return Reply(self.store, {})

    async def pages(self, call: object, **query: Any) -> AsyncIterator[dict[str, Any]]:
        self.lists += 1
        if self.listed == NO_LIST:
            response = httpx2.Response(405, request=httpx2.Request("GET", "http://server/v1"))
            raise openai.APIStatusError("405", response=response, body=None)
        for number, status in enumerate(self.listed):
            yield {"id": f"file-{number}", "status": status, "last_error": {"message": "no text in it"}}


async def look(store: dict[str, Any], listed: Any) -> tuple[Any, int]:
    """What a look for two files shows, and how many lists it took."""
    server: Any = Server(store, listed)
    files = Files(server, SPEC, FileTransfer(SimpleNamespace()))  # type: ignore[arg-type]
    return await files.poll_store("vs_1", 2), server.lists


def counts(**numbers: int) -> dict[str, int]:
    return {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": sum(numbers.values()), **numbers}


@pytest.mark.parametrize(
    ("store", "listed", "completed", "lists"),
    [
        ({"status": "completed", "file_counts": counts(completed=2)}, [], 2, 0),
        ({"status": "in_progress", "file_counts": counts(in_progress=1, completed=1)}, [], 1, 0),
        ({"status": "completed", "file_counts": counts()}, ["in_progress", "completed"], 1, 1),  # OGX, at first
        ({"status": "completed", "file_counts": counts()}, ["completed", "completed"], 2, 1),  # counts that lag
        ({"status": "completed", "file_counts": counts()}, [], 0, 1),  # the files were not put in
        ({"status": "completed", "file_counts": counts()}, NO_LIST, 0, 1),
        ({"status": "completed"}, ["completed", "in_progress"], 1, 1),
        ({}, ["completed", "completed"], 2, 1),
        ({"status": "completed"}, NO_LIST, 2, 1),  # its word is all there is
        ({"status": "completed", "file_counts": {"completed": "many"}}, ["completed", "completed"], 2, 1),
    ],
)
async def test_a_store_is_ready_with_all_its_files(store: Any, listed: Any, completed: int, lists: int) -> None:
    seen = StoreSeen("vs_1", ready=completed == 2, detail=f"{completed} of 2 files are searchable")
    assert await look(store, listed) == (seen, lists)


@pytest.mark.parametrize(
    ("store", "listed", "ready"),
    [
        ({"file_counts": counts(completed=9)}, ["completed", "completed", "in_progress"], True),
        ({"file_counts": counts(completed=9)}, ["completed", "in_progress", "completed"], False),
        ({"file_counts": counts(completed=9)}, ["completed"], False),  # the other is not in it yet
        ({"file_counts": counts(completed=9)}, NO_LIST, True),
        ({"file_counts": counts(in_progress=1, completed=9)}, NO_LIST, False),
    ],
)
async def test_files_that_join_a_store_are_searched_in_it(store: Any, listed: Any, ready: bool) -> None:
    server: Any = Server(store, listed)
    files = Files(server, SPEC, FileTransfer(SimpleNamespace()))  # type: ignore[arg-type]
    view = await files.poll_joined_files("vs_1", ("file-0", "file-1"))
    assert isinstance(view, StoreSeen)
    assert view.ready is ready


async def test_a_file_that_joins_a_store_and_fails_is_named() -> None:
    server: Any = Server({}, ["completed", "failed", "failed"])
    files = Files(server, SPEC, FileTransfer(SimpleNamespace()))  # type: ignore[arg-type]
    view = await files.poll_joined_files("vs_1", ("file-0", "file-1"))
    assert isinstance(view, Rejected)
    assert "file-1: no text in it" in view.failure.message
    assert "file-2" not in view.failure.message, "which is another job's"


@pytest.mark.parametrize("status", ["completed", "in_progress"])
async def test_a_file_that_failed_is_named_with_the_reason(status: str) -> None:
    view, _ = await look({"status": status, "file_counts": counts(completed=1, failed=1)}, ["completed", "failed"])
    assert isinstance(view, Rejected)
    assert "file-1: no text in it" in view.failure.message


async def test_a_store_that_has_expired_is_not_searched() -> None:
    view, _ = await look({"status": "expired", "file_counts": counts(completed=2)}, [])
    assert isinstance(view, Rejected)
    assert "expired" in view.failure.message
