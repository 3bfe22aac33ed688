"""Vector stores: made by request and in passing, indexed in time, searched by nobody else's threads."""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.integration.emulator.conftest import Clock

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Assistants API is deprecated.*:DeprecationWarning"),
]

DAY_S = 86_400


CLOCK = Clock(1_700_000_000.0)
OPTIONS = Options(index_s=2)


def upload(client: OpenAI, name: str = "a.txt", data: bytes = b"Herons eat fish.") -> str:
    return client.files.create(file=(name, data), purpose="assistants").id


def test_files_are_indexed_in_time_and_those_of_a_wrong_type_fail(client: OpenAI, clock: Clock):
    ids = [upload(client), upload(client, "table.csv", b"a,b")]
    store = client.vector_stores.create(name="notes", file_ids=ids, metadata={"job": "1"})
    assert (store.status, store.name, store.usage_bytes, store.metadata) == ("in_progress", "notes", 0, {"job": "1"})
    assert (store.file_counts.in_progress, store.file_counts.total) == (2, 2)
    clock.now += 2
    store = client.vector_stores.retrieve(store.id)
    assert (store.status, store.usage_bytes) == ("completed", len(b"Herons eat fish."))
    assert (store.file_counts.completed, store.file_counts.failed) == (1, 1)
    failed, good = client.vector_stores.files.list(store.id).data
    assert (failed.id, failed.status, failed.last_error.code) == (ids[1], "failed", "unsupported_file")
    assert (good.id, good.status, good.last_error, good.chunking_strategy.type) == (ids[0], "completed", None, "static")


def test_stores_are_listed_and_deleted(client: OpenAI):
    first, second = client.vector_stores.create(), client.vector_stores.create(name="b")
    assert [store.id for store in client.vector_stores.list()] == [second.id, first.id]
    assert client.vector_stores.delete(first.id).deleted
    with pytest.raises(openai.NotFoundError, match=f"No vector store found with id '{first.id}'."):
        client.vector_stores.retrieve(first.id)


def test_a_store_expires_so_many_days_after_its_last_use(client: OpenAI, clock: Clock):
    store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 2})
    assert store.expires_at == store.last_active_at + 2 * DAY_S
    clock.now += 2 * DAY_S
    assert client.vector_stores.retrieve(store.id).status == "expired"


def test_a_deleted_file_is_in_no_store(client: OpenAI):
    file = upload(client)
    store = client.vector_stores.create(file_ids=[file])
    client.files.delete(file)
    assert client.vector_stores.files.list(store.id).data == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"file_ids": ["file-x"]}, "file_ids"),
        ({"file_ids": ["file-x"] * 501}, "file_ids"),
        ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_wrong_bodies_are_refused(client: OpenAI, body: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as error:
        client.vector_stores.create(extra_body=body)
    assert error.value.param == param
    assert client.vector_stores.list().data == []


def test_a_thread_names_stores_that_exist_or_has_one_made(client: OpenAI):
    threads = client.beta.threads
    with pytest.raises(openai.BadRequestError, match="No vector store found with id 'vs_x'"):
        threads.create(tool_resources={"file_search": {"vector_store_ids": ["vs_x"]}})
    with pytest.raises(openai.BadRequestError, match="No such File object: file-x"):
        threads.create(tool_resources={"code_interpreter": {"file_ids": ["file-x"]}})
    helper = {"file_ids": [upload(client)], "metadata": {"job": "1"}}
    thread = threads.create(tool_resources={"file_search": {"vector_stores": [helper]}})
    (id,) = thread.tool_resources.file_search.vector_store_ids
    store = client.vector_stores.retrieve(id)
    assert (store.file_counts.total, store.metadata, store.expires_after.days) == (1, {"job": "1"}, 7)
    other = threads.create()
    assert threads.update(other.id, tool_resources={"file_search": {"vector_store_ids": [id]}}).tool_resources


def test_attachments_become_the_threads(client: OpenAI):
    threads, ids = client.beta.threads, [upload(client), upload(client, "b.md"), upload(client, "c.csv")]
    searched = [{"file_id": id, "tools": [{"type": "file_search"}]} for id in ids[:2]]
    thread = threads.create(messages=[{"role": "user", "content": "x", "attachments": searched[:1]}])
    (store_id,) = thread.tool_resources.file_search.vector_store_ids
    threads.messages.create(thread.id, role="user", content="y", attachments=searched[1:])
    computed = [{"file_id": ids[2], "tools": [{"type": "code_interpreter"}]}]
    threads.messages.create(thread.id, role="user", content="z", attachments=computed)
    resources = threads.retrieve(thread.id).tool_resources
    assert resources.file_search.vector_store_ids == [store_id], "one store for all"
    assert resources.code_interpreter.file_ids == [ids[2]]
    assert {file.id for file in client.vector_stores.files.list(store_id)} == set(ids[:2])
    threads.delete(thread.id)
    assert client.vector_stores.retrieve(store_id).file_counts.total == 2, "a thread's deletion takes nothing along"
    assert len(client.files.list().data) == 3


def test_a_refused_run_leaves_no_store_behind(client: OpenAI):
    thread = {
        "messages": [{"role": "user", "content": "[[scenario=nope]]"}],
        "tool_resources": {"file_search": {"vector_stores": [{}]}},
    }
    with pytest.raises(openai.BadRequestError, match="no scenario marker"):
        client.beta.threads.create_and_run(assistant_id="asst_echo", thread=thread)
    assert client.vector_stores.list().data == []


def test_files_of_the_wrong_kind_are_refused(client: OpenAI):
    with pytest.raises(openai.BadRequestError, match='Supported formats: "gif", "jpeg"'):
        client.files.create(file=("a.txt", b"a"), purpose="vision")
    with pytest.raises(openai.BadRequestError, match="File is empty"):
        client.files.create(file=("a.txt", b""), purpose="assistants")
    attached = [{"file_id": upload(client, "a.exe"), "tools": [{"type": "code_interpreter"}]}]
    with pytest.raises(openai.BadRequestError, match=r"Files with extensions \[.exe\] are not supported"):
        client.beta.threads.create(messages=[{"role": "user", "content": "x", "attachments": attached}])


def test_the_statistics_count_them(client: OpenAI, server: Running):
    store = client.vector_stores.create(file_ids=[upload(client)])
    client.vector_stores.delete(client.vector_stores.create().id)
    stats = httpx.get(f"{server.url}/_stats?ids=1").json()
    assert stats["vector_stores"] == {"alive": 1, "created": 2, "ids": [store.id]}
    assert (stats["files"]["alive"], stats["files"]["created"]) == (1, 1)
