"""Images and files on their way in, files the model made on their way out, and nothing left on the server."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from threadmill import FailureKind, JobState
from threadmill_emulator.runs.replies import PNG

pytestmark = pytest.mark.integration

#: Where the tests' local files lie; the settings' file_roots.
PICTURE = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    """Local files which the worker may read."""
    (tmp_path / "policy.txt").write_text("Travel is booked a week ahead. Meals are covered up to 40 euros.")
    (tmp_path / "rules.md").write_text("Trains are preferred. Travel by plane needs a reason.")
    (tmp_path / "table.csv").write_text("city,days\nParis,3\n")
    (tmp_path / "photo.jpg").write_bytes(PNG)
    object.__setattr__(settings, "file_roots", (tmp_path,))
    return tmp_path


def nothing_left(emulator: Any) -> bool:
    stats = emulator.stats()
    return not any(stats[kind]["alive"] for kind in ("threads", "files", "vector_stores"))


async def test_an_image_is_sent_as_a_data_url_where_accepted(folder, worker, emulator):
    result = await worker.run("What is this?", images=[str(folder / "photo.jpg")])

    assert "image/png" in result.text
    [sent] = emulator.sent("POST", "/threads")
    assert sent.json["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": PICTURE, "detail": "auto"},
    }
    assert not emulator.sent("POST", "/files")


@pytest.mark.endpoint(supports={"data_urls": False})
@pytest.mark.parametrize("form", ["path", "data URL"])
async def test_elsewhere_it_is_uploaded_and_deleted_with_its_thread(form, folder, worker, emulator):
    image = str(folder / "photo.jpg") if form == "path" else PICTURE
    result = await worker.run("What is this?", images=[image])

    assert result.ok
    [sent] = emulator.sent("POST", "/threads")
    assert sent.json["messages"][0]["content"][1]["type"] == "image_file"
    assert b'name="purpose"\r\n\r\nvision' in emulator.sent("POST", "/files")[0].body
    assert nothing_left(emulator)


async def test_files_are_searched_and_cited_by_name(folder, worker, emulator):
    files = [str(folder / "policy.txt"), str(folder / "rules.md")]
    prompt = "[[scenario=citations]]What of travel and meals?"
    result = await worker.run(prompt, files=files, include_steps=True)

    assert {each.name for each in result.citations} == {"policy.txt", "rules.md"}
    assert "[1]" in result.text
    assert "【" not in result.text
    assert "【" in result.content[0]["text"]["value"], "the raw text is kept"
    [search] = [step for step in result.steps if step["type"] == "file_search"]
    assert search["results"][0]["quote"] in (folder / "policy.txt").read_text() + (folder / "rules.md").read_text()
    assert nothing_left(emulator)


@pytest.mark.endpoint(wire="responses", model="emulator-citations")
async def test_citations_that_name_their_files_cost_no_calls(worker, emulator):
    """What the job searches was uploaded by someone else, so only the server knows what it is called."""
    stored = [emulator.upload(name, f"Herons nest in {name}.".encode())["id"] for name in ("reeds.txt", "trees.txt")]
    store = emulator.call("POST", "/vector_stores", {"file_ids": stored})["id"]
    tools = [{"type": "file_search", "vector_store_ids": [store]}]
    result = await worker.run("Where do herons nest?", tools=tools)

    assert {each.name for each in result.citations} == {"reeds.txt", "trees.txt"}
    assert not [each for each in emulator.requests if each.method == "GET" and each.path.startswith("/files/")]


async def test_code_runs_on_a_file_and_its_steps_and_files_come_back(folder, worker, emulator):
    files = [{"path": str(folder / "table.csv"), "tools": ["code_interpreter"]}]
    result = await worker.run("[[scenario=plot]]Plot a sine wave", files=files, include_steps=True)

    picture, values = result.files
    content = Path(picture.uri).read_bytes()  # noqa: ASYNC240
    assert (picture.media_type, picture.size) == ("image/png", len(content))
    assert content.startswith(PNG[:8])
    assert f"({values.uri})" in result.text
    assert [step["type"] for step in result.steps] == ["code_interpreter"]
    assert result.steps[0]["input"]
    [sent] = emulator.sent("POST", "/threads")
    assert len(sent.json["tool_resources"]["code_interpreter"]["file_ids"]) == 1
    assert nothing_left(emulator)


async def test_a_job_with_tools_is_offered_those_of_its_files_too(folder, worker, emulator):
    result = await worker.run("Well?", files=[str(folder / "policy.txt")], tools=["code_interpreter"])

    assert result.ok
    [run] = emulator.sent("POST", "/runs")
    assert run.json["tools"] == [{"type": "code_interpreter"}, {"type": "file_search"}]


@pytest.mark.settings(artifact_limit_bytes=100)
async def test_a_file_over_the_limit_is_reported_and_not_downloaded(worker, emulator):
    result = await worker.run("[[scenario=plot]]Plot a sine wave")

    assert result.state is JobState.SUCCEEDED
    assert all("raise artifact_limit_bytes" in each.error and each.file_id in each.error for each in result.files)
    assert emulator.stats()["files"]["alive"] == len(result.files)


async def test_a_batch_shares_uploads_until_its_last_job(folder, worker, emulator):
    jobs = [
        worker.create(f"[[scenario=citations]]Question {n} on travel?", files=[str(folder / "policy.txt")], batch="b")
        for n in range(5)
    ]
    results = [await worker.see_through(job) for job in jobs]

    assert all(result.ok and result.citations for result in results)
    assert len(emulator.sent("POST", "/files")) == len(emulator.sent("POST", "/vector_stores")) == 1
    await worker.process.clean_up()
    assert nothing_left(emulator)


async def test_a_follow_up_continues_the_thread_with_its_files(folder, worker, emulator):
    first = await worker.run("[[scenario=plot]]Plot a sine wave", keep_thread=True)
    second = await worker.run("[[scenario=plot]]Now in dark mode", thread=first.thread_id)

    assert first.thread_id == second.thread_id
    assert "dark" in second.text
    assert emulator.threads() == 1
    [kept] = worker.client.threads()
    assert (kept.id, kept.jobs) == (first.thread_id, 2)
    assert set(kept.things) == {each.file_id for each in (*first.files, *second.files)}
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert nothing_left(emulator)


async def test_a_follow_up_may_bring_files_to_search(folder, worker, emulator):
    first = await worker.run("Hello", keep_thread=True)
    ask = "[[scenario=citations]]What of travel?"
    second = await worker.run(ask, thread=first.thread_id, files=[str(folder / "policy.txt")])
    third = await worker.run(ask, thread=first.thread_id, files=[str(folder / "rules.md")])

    assert [each.name for each in second.citations] == ["policy.txt"]
    assert {each.name for each in third.citations} >= {"rules.md"}
    worker.client.delete_thread(first.thread_id)
    await worker.process.clean_up()
    assert nothing_left(emulator)


async def test_files_added_to_a_foreign_thread_are_deleted_with_the_job(folder, worker, emulator):
    made = emulator.call("POST", "/threads", {})
    files = [{"path": str(folder / "table.csv"), "tools": ["code_interpreter"]}]
    result = await worker.run("Look", thread=made["id"], files=files)
    await worker.process.clean_up()

    assert result.ok
    assert worker.client.threads() == []
    assert (emulator.threads(), emulator.stats()["files"]["alive"]) == (1, 0)


async def test_a_thread_that_is_gone_is_not_replaced(worker, emulator):
    result = await worker.run("Well?", thread="thread_gone")

    assert (result.failure.kind, result.failure.retryable) == (FailureKind.REJECTED, False)
    assert "thread_gone" in result.failure.message
    assert not emulator.sent("POST", "/threads")


async def test_a_file_the_server_cannot_search_is_named(folder, worker, emulator):
    uploaded = emulator.upload("table.csv", b"city,days\nParis,3\n")
    result = await worker.run("Well?", files=[uploaded["id"]])

    assert result.failure.kind is FailureKind.REJECTED
    assert uploaded["id"] in result.failure.message
    assert emulator.stats()["vector_stores"]["alive"] == 0


async def test_a_path_outside_the_roots_is_read_by_no_worker(folder, worker, store, emulator, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.txt"
    outside.write_text("secret")
    job = worker.create("Well?")
    fields = {"prompt": "Well?", "files": [str(outside)], "endpoint": "emulator"}
    store.hset(f"{worker.settings.key_prefix}:job:{job}", "job", json.dumps(fields))
    result = await worker.see_through(job)

    assert result.failure.kind is FailureKind.REJECTED
    assert "file_roots" in result.failure.message
    assert emulator.requests == []


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}


async def test_an_answer_in_json_is_parsed_and_checked(worker):
    result = await worker.run("How many?", response_format=SCHEMA)
    assert isinstance(result.parsed["n"], int)


async def test_an_invalid_answer_is_requested_once_more_with_the_reason(worker, emulator):
    result = await worker.run("[[scenario=echo]]three", response_format=SCHEMA)

    assert (result.state, result.runs) == (JobState.SUCCEEDED, 2)
    assert isinstance(result.parsed["n"], int)
    second = emulator.sent("POST", "/runs")[1].json
    assert "did not match" in second["additional_instructions"]


@pytest.mark.endpoint(supports={"create_and_run": True})
async def test_thread_and_run_in_one_call(worker, emulator):
    result = await worker.run("Why?")

    assert result.ok
    assert emulator.sent("POST", "/threads/runs")
    assert not emulator.sent("POST", "/threads")
    assert nothing_left(emulator)


@pytest.mark.endpoint(current_time_note="It is %H:%M in %Z", current_time_zone="Asia/Taipei")
async def test_the_current_time_note_uses_the_time_zone_of_the_settings(worker, emulator):
    await worker.run("When?")
    assert emulator.sent("POST", "/runs")[0].json["additional_instructions"].endswith("in CST")


@pytest.mark.emulated(index_s=60)
@pytest.mark.endpoint(indexing_limit_s=0.5)
async def test_files_that_do_not_become_searchable_end_the_job(folder, worker, emulator):
    result = await worker.run("Well?", files=[str(folder / "policy.txt")])

    assert result.failure.kind is FailureKind.STUCK
    assert nothing_left(emulator)


@pytest.mark.emulated(extras=frozenset({"early_stores"}), index_s=0.3)
async def test_a_store_called_completed_is_waited_for_until_its_files_are_there(folder, worker, emulator):
    files = [str(folder / "policy.txt"), str(folder / "rules.md")]
    result = await worker.run("[[scenario=citations]]What of travel and meals?", files=files)

    assert {each.name for each in result.citations} == {"policy.txt", "rules.md"}
    looks = [request.path for request in emulator.requests if "/vector_stores/" in request.path]
    assert len([path for path in looks if path.endswith("/files")]) > 1, "the list of its files says how many there are"
    started = emulator.requests.index(emulator.sent("POST", "/threads")[0])
    last_look = max(n for n, each in enumerate(emulator.requests) if each.method == "GET" and each.path in looks)
    assert last_look < started


@pytest.mark.emulated(extras=frozenset({"uncounted_stores"}), index_s=0.3)
async def test_a_store_without_file_counts_is_ready_when_its_files_are(folder, worker, emulator):
    result = await worker.run("Well?", files=[str(folder / "policy.txt")])

    assert result.ok
    assert len(emulator.sent("GET", "/files")) > 1
    assert nothing_left(emulator)


@pytest.mark.emulated(extras=frozenset({"empty_stores"}))
@pytest.mark.endpoint(indexing_limit_s=0.5)
async def test_no_job_asks_about_a_store_that_lacks_its_files(folder, worker, emulator):
    result = await worker.run("Well?", files=[str(folder / "policy.txt"), str(folder / "rules.md")])

    assert result.failure.kind is FailureKind.STUCK
    assert "0 of 2 files are searchable" in result.failure.message
    assert not emulator.sent("POST", "/runs")
    assert nothing_left(emulator)


HEADERS = {"Authorization": "Bearer none", "OpenAI-Beta": "assistants=v2"}


@pytest.mark.emulated(index_s=0.3)
async def test_files_that_join_a_thread_with_a_store_are_awaited(folder, worker, emulator):
    first = await worker.run("Well?", files=[str(folder / "policy.txt")], keep_thread=True)
    emulator.requests.clear()
    prompt = "[[scenario=citations]]What of travel and meals?"
    second = await worker.run(prompt, files=[str(folder / "rules.md")], thread=first.thread_id)

    assert second.ok, second.failure
    assert "rules.md" in {each.name for each in second.citations}
    assert not emulator.sent("POST", "/vector_stores"), "the thread has one"
    made = [f"{each.method} {each.path.rpartition('/')[2]}" for each in emulator.requests]
    begun = made.index("POST messages"), made.index("POST runs")
    looks = [place for place, call in enumerate(made) if call == "GET files"]
    assert begun[0] < looks[0] < looks[-1] < begun[1]


@pytest.mark.emulated(index_s=60)
@pytest.mark.endpoint(indexing_limit_s=0.5)
async def test_no_job_asks_on_a_thread_whose_store_lacks_its_files(folder, worker, emulator):
    with httpx2.Client(base_url=emulator.base_url, headers=HEADERS) as http:
        store = http.post("/vector_stores", json={}).json()["id"]
        resources = {"file_search": {"vector_store_ids": [store]}}
        thread = http.post("/threads", json={"tool_resources": resources}).json()["id"]
    result = await worker.run("Well?", files=[str(folder / "policy.txt")], thread=thread)

    assert result.failure.kind is FailureKind.STUCK
    assert "0 of 1 files are searchable" in result.failure.message
    assert not emulator.sent("POST", "/runs")


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


async def test_a_job_fails_whose_assistant_has_no_tool_for_its_files(folder, worker, emulator):
    with httpx2.Client(base_url=emulator.base_url, headers=HEADERS) as http:
        assistant = http.post("/assistants", json={"model": "emulator-1", "tools": [WEATHER]}).json()["id"]
    files = [str(folder / "policy.txt")]
    unread = await worker.run("Well?", assistant=assistant, files=files)
    read = await worker.run("Well?", assistant=assistant, files=files, tools=[WEATHER])

    assert (unread.failure.kind, read.ok) == (FailureKind.REJECTED, True)
    assert "the run cannot read the job's files: it has no file_search" in unread.failure.message
    assert nothing_left(emulator)
