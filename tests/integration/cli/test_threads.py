"""`threadmill threads`, in a process of its own: what is kept, what was said, and what goes."""

import asyncio
import json
import os
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests import shared

from threadmill import Client
from threadmill.store.keys import Keys
from threadmill.store.records.remote import KeptThread

pytestmark = pytest.mark.integration

emulator = shared.emulator


@pytest.fixture
def cli(run_cli, settings, settings_as_environment):
    variables = settings_as_environment(settings)
    return lambda *arguments, **more: run_cli(*arguments, **(variables | more))


@pytest.fixture
def http(emulator):
    headers = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
    with httpx.Client(base_url=emulator.base_url, headers=headers) as http:
        yield http


@pytest.fixture
def keep(store, settings, http):
    """A thread on the server, as a job left it that ended so many days ago."""

    def make(days: float = 0, **fields) -> str:
        thread = http.post("/threads", json={}).json()["id"]
        moment = datetime.now(UTC) - timedelta(days=days)
        kept = KeptThread(
            endpoint="emulator", id=thread, job_id=str(uuid.uuid4()), created_at=moment, used_at=moment, **fields
        )
        store.hset(f"{settings.key_prefix}:threads", f"emulator/{thread}", kept.model_dump_json())
        return thread

    return make


def test_threads_are_listed_with_age_and_use(cli, keep):
    old, new = keep(days=40, jobs=3), keep(days=0.1)

    listed = cli("threads").stdout.splitlines()
    assert listed[0].split() == ["thread", "endpoint", "age", "used", "jobs", "expires", "last", "job"]
    assert [line.split()[:-1] for line in listed[1:]] == [
        [new, "emulator", "2h", "2h", "ago", "1", "-"],
        [old, "emulator", "40d", "40d", "ago", "3", "-"],
    ]
    assert cli("threads", "list").stdout.splitlines() == listed
    for arguments in (("threads", "--json"), ("threads", "list", "--json")):
        assert [each["id"] for each in json.loads(cli(*arguments).stdout)] == [new, old]


def test_a_transcript_is_read_from_the_server(cli, keep, http):
    thread = keep()
    file = http.post("/files", files={"file": ("a.txt", b"x")}, data={"purpose": "assistants"}).json()["id"]
    for number in range(120):
        http.post(f"/threads/{thread}/messages", json={"role": "user", "content": f"Question {number}?"})
    attached = {"attachments": [{"file_id": file, "tools": [{"type": "code_interpreter"}]}]}
    http.post(f"/threads/{thread}/messages", json={"role": "assistant", "content": "蒼鷺。", **attached})

    shown = cli("threads", "show", thread)
    assert shown.returncode == 0, shown.stderr
    assert [line for line in shown.stdout.splitlines() if line.startswith("Question")] == [
        f"Question {number}?" for number in range(120)
    ]
    assert shown.stdout.splitlines()[-3].startswith("assistant  20")
    assert shown.stdout.splitlines()[-3].endswith(f"[{file}]")
    assert shown.stdout.splitlines()[-2] == "蒼鷺。"

    told = json.loads(cli("threads", "show", thread, "--json").stdout)
    assert (told["id"], told["endpoint"], told["gone"], told["complete"]) == (thread, "emulator", False, True)
    assert told["kept"]["jobs"] == 1
    assert told["messages"][-1]["files"] == [file]


def test_a_conversation_is_read_from_the_server(run_cli, make_settings, settings_as_environment, emulator, http):
    variables = settings_as_environment(
        make_settings(emulator.base_url, {"wire": "responses", "model": "emulator", "assistant": None})
    )
    items = [{"type": "message", "role": "user", "content": f"Question {number}?"} for number in range(120)]
    photo = {"type": "input_image", "image_url": "https://example.com/photo.png"}
    items[-1]["content"] = [{"type": "input_text", "text": "Question 119?"}, photo]
    name = http.post("/conversations", json={"items": items[:20]}).json()["id"]
    for start in range(20, 120, 20):
        http.post(f"/conversations/{name}/items", json={"items": items[start : start + 20]}).raise_for_status()
    asked = {"model": "emulator", "conversation": name, "input": "蒼鷺?"}
    assert http.post("/responses", json=asked).json()["status"] == "completed"

    told = json.loads(run_cli("threads", "show", name, "--endpoint", "emulator", "--json", **variables).stdout)
    assert (told["gone"], told["complete"], told["kept"]) == (False, True, None)
    texts = [(each["role"], each["text"]) for each in told["messages"]]
    assert texts[:121] == [("user", f"Question {number}?") for number in range(120)] + [("user", "蒼鷺?")]
    assert [role for role, _ in texts[121:]] == ["assistant"]
    assert told["messages"][119]["files"] == ["https://example.com/photo.png"]
    shown = run_cli("threads", "show", name, "--endpoint", "emulator", **variables)
    assert "user  [https://example.com/photo.png]\nQuestion 119?\n" in shown.stdout

    http.delete(f"/conversations/{name}").raise_for_status()
    gone = run_cli("threads", "show", name, "--endpoint", "emulator", **variables)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert f"thread {name} is gone on the server" in gone.stderr


def test_an_unkept_thread_is_shown_by_naming_its_endpoint(cli, http):
    thread = http.post("/threads", json={"messages": [{"role": "user", "content": "Well?"}]}).json()["id"]

    refused = cli("threads", "show", thread)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"thread {thread} is not kept here" in refused.stderr
    assert "Well?" in cli("threads", "show", thread, "--endpoint", "emulator").stdout


def test_a_thread_that_is_gone_on_the_server_is_said_so(cli, keep, http):
    thread = keep()
    http.delete(f"/threads/{thread}")

    shown = cli("threads", "show", thread)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert f"thread {thread} is gone on the server of endpoint 'emulator'" in shown.stderr
    assert f"threadmill threads delete {thread}" in shown.stderr
    assert json.loads(cli("threads", "show", thread, "--json").stdout)["gone"] is True


def test_a_server_that_is_not_there_is_told_in_one_line(run_cli, make_settings, settings_as_environment):
    variables = settings_as_environment(make_settings("http://127.0.0.1:9/v1"))

    shown = run_cli("threads", "show", "thread_x", "--endpoint", "emulator", **variables)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("threadmill: endpoint 'emulator': ")
    assert shown.stderr.count("\n") == 1


@pytest.fixture
def local(store, settings, keep):
    """A thread whose messages only Redis has."""

    def make(*said: dict[str, Any], **fields: Any) -> str:
        thread, keys = keep(kind="local", **fields), Keys(settings.key_prefix)
        store.zadd(keys.local_threads, {f"emulator/{thread}": time.time() + 29.5 * 86400})
        if said:
            store.set(keys.transcript(f"emulator/{thread}"), json.dumps({"items": said}), ex=60)
        return thread

    return make


def test_a_local_thread_is_shown_from_redis_alone(cli, local):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 99}"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    thread = local(
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a hidden output"},
        {"role": "assistant", "content": "A cat."},
        dropped=12,
    )
    nowhere = {"base_url": "http://127.0.0.1:9/v1", "kind": "chat", "model": "m"}
    there = {"THREADMILL_ENDPOINTS": json.dumps({"emulator": nowhere})}
    row = cli("threads", **there).stdout.splitlines()[1].split()
    assert (row[0], row[-3:-1]) == (thread, ["in", "29d"])

    shown = cli("threads", "show", thread, **there)
    assert shown.returncode == 0, shown.stderr
    label = f"data:image/png;base64,{'A' * 18}... (121 characters)"
    assert shown.stdout == f"user  [{label}]\nWhat is this?\n\nassistant\nA cat.\n\n"
    assert shown.stderr == "its first 12 messages were dropped: it had become too long\n"
    told = json.loads(cli("threads", "show", thread, "--json", **there).stdout)
    assert (told["complete"], told["kept"]["dropped"], len(told["messages"])) == (False, 12, 2)
    assert cli("threads", "delete", thread, "--yes", **there).stdout == f"{thread}  deleted\n"

    unknown = cli("threads", "show", "thread_unknown", "--endpoint", "emulator", **there)
    assert "endpoint 'emulator' keeps no threads" in unknown.stderr


def test_a_local_thread_that_lost_its_messages_is_said_so(cli, local):
    thread = local()

    shown = cli("threads", "show", thread)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert f"thread {thread} is gone from Redis" in shown.stderr


def test_threads_are_deleted_by_name_by_age_or_all(cli, keep, settings):
    named, old, young = keep(), keep(days=31), keep(days=29)
    client = Client(settings)

    assert cli("threads", "delete").returncode == 2
    assert cli("threads", "delete", named, "--all").returncode == 2
    assert cli("threads", "delete", "--older-than", "soon").returncode == 2
    assert cli("threads", "delete", "thread_nobody_knows", named).returncode == 2
    assert len(client.threads()) == 3, "nothing was done by halves"

    done = cli("threads", "delete", named)
    assert (done.returncode, done.stdout) == (0, f"{named}  deleted by the next sweep of a worker\n")
    assert f"to delete: thread {named} of emulator" in done.stderr
    assert json.loads(cli("threads", "delete", "--older-than", "30d", "--yes", "--json").stdout) == {
        old: "deleted by the next sweep of a worker"
    }
    assert [thread.id for thread in client.threads()] == [young]
    cli("threads", "delete", "--all", "--yes")
    assert client.threads() == []
    assert {left.id for left in client.leftovers()} == {named, old, young}


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_on_a_terminal_it_asks_first(cli_command, settings, settings_as_environment, keep, tmp_path, answer, left):
    keep()
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        cli_command("threads", "delete", "--all"),
        cwd=tmp_path,
        env={**os.environ, **settings_as_environment(settings)},
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)

    assert "Delete 1? [y/N]" in done.stderr
    assert (done.returncode, len(Client(settings).threads())) == (left, left)


def test_a_thread_in_use_is_left_alone(cli, keep, settings):
    thread, client = keep(), Client(settings)
    job_id = client.enqueue({"prompt": "Well?", "thread": thread}).id

    done = cli("threads", "delete", thread)
    assert (done.returncode, done.stdout) == (1, f"{thread}  left alone: {job_id} wait or run on it\n")
    assert cli("threads", "delete", thread, "--force").returncode == 0
    assert client.threads() == []


async def test_a_worker_deletes_them_on_the_server(keep, worker, http, until):
    thread = keep()
    worker.client.delete_thread(thread)
    await worker.process.clean_up()

    await asyncio.to_thread(until, lambda: http.get(f"/threads/{thread}").status_code == 404)
