"""The pages of batches over HTTP."""

import csv
import io
import json
from datetime import timedelta

import pytest
from tests.pages import ACCEPT, changes, csrf_of, text_of

from threadmill import FailureKind, JobState
from threadmill.job.result import Failure, JobResult, Timings, Usage
from threadmill.store import requests

pytestmark = pytest.mark.integration

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def batch(client, settings):
    """Enqueues jobs of a batch, and ends some of them as a worker does."""

    def make(name="night", number=3, failed=0, open_=0, text="**Fine**", **fields):
        jobs = [{"prompt": f"Summarise {n}", "batch": name, "document": f"doc-{n}.md"} | fields for n in range(number)]
        handles = client.enqueue_many(jobs)
        now = client.store.now()
        for at, handle in enumerate(handles[: number - open_]):
            fails = at < failed
            result = JobResult(
                job_id=handle.id,
                state=JobState.FAILED if fails else JobState.SUCCEEDED,
                failure=Failure(kind=FailureKind.QUOTA, message=f"no credit {HOSTILE}") if fails else None,
                text="" if fails else text,
                timings=Timings(created_at=now, started_at=now - timedelta(seconds=3), finished_at=now),
                usage=Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120),
                model="m",
                batch=name,
                endpoint="emulator",
            )
            client.store._run("jobs/finish", **requests.finish(None, result, "client", settings))
        return [handle.id for handle in handles]

    return make


async def page_of(http, path):
    page = await http.get(path, headers=ACCEPT)
    assert page.status_code == 200, page.text
    assert "<script>alert" not in page.text
    return page.text


async def act(http, path, page, **fields):
    """Sends the form of an action, and follows the reply."""
    reply = await http.post(path, data={"csrf": csrf_of(page)} | fields, headers=ACCEPT)
    assert reply.status_code == 303, reply.text
    return await page_of(http, reply.headers["Location"])


async def test_without_batches_the_page_says_how_to_start_one(http):
    assert "threadmill batch documents/" in text_of(await page_of(http, "/batches"))


async def test_batches_are_listed_with_their_states_and_found_by_name(http, batch):
    batch("night", 5, failed=1, open_=2)
    batch("morning", 1)
    page = await page_of(http, "/batches")
    text = text_of(page)
    assert page.index("/batches/morning") < page.index("/batches/night"), "the latest change comes first"
    assert "2 queued , 2 succeeded , 1 failed" in text
    assert "3 / 5" in text
    found = await page_of(http, "/batches?search=MORN")
    assert "/batches/morning" in found
    assert "/batches/night" not in found
    assert "No batch has such a name." in await page_of(http, "/batches?search=noon")


async def test_the_list_goes_on_by_pages(http, batch, client):
    for number in range(31):
        client.enqueue({"prompt": "?", "batch": f"b-{number}"})
    first = await page_of(http, "/batches")
    assert '/batches/b-1"' in first
    assert '/batches/b-0"' not in first
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = await page_of(http, following)
    assert '/batches/b-0"' in second
    assert "Back to the first ones" in second


async def test_a_batch_shows_figures_charts_failures_and_documents(http, batch):
    batch("night", 6, failed=2, open_=1)
    page = await page_of(http, "/batches/night")
    text = text_of(page)
    assert "5 of 6 have ended" in text
    assert page.count('<svg class="chart"') == 3
    assert "≤ 5 s" in text
    assert "≤ 200" in text
    assert "/jobs?batch=night&amp;failure=quota" in page
    assert "doc-0.md" in text
    assert "threadmill batch show night" in text


async def test_documents_are_filtered_by_name_state_and_failure(http, batch):
    batch("night", 6, failed=2, open_=1)
    by_name = text_of(await page_of(http, "/batches/night?search=DOC-3"))
    assert "doc-3.md" in by_name
    assert "doc-2.md" not in by_name
    queued = text_of(await page_of(http, "/batches/night?state=queued"))
    assert "doc-5.md" in queued
    assert "doc-0.md" not in queued
    failed = text_of(await page_of(http, "/batches/night?failure=quota"))
    assert "doc-1.md" in failed
    assert "doc-2.md" not in failed
    assert "doc-2.md" in text_of(await page_of(http, "/batches/night?state=nonsense"))


async def test_a_cursor_of_another_list_is_refused(http, batch):
    batch()
    assert (await http.get("/batches/night?cursor=Zm9v", headers=ACCEPT)).status_code == 422
    assert (await http.get("/batches?cursor=Zm9v", headers=ACCEPT)).status_code == 422


async def test_an_unknown_batch_is_not_found(http):
    for path in ("/batches/none", "/batches/none/results", "/batches/none/export"):
        assert (await http.get(path, headers=ACCEPT)).status_code == 404


async def test_spending_is_shown_against_its_limits(http, batch, client):
    batch()
    client.store.start_batch("night", 5, new_generation=False, max_cost=2.5, max_tokens=1000)
    text = text_of(await page_of(http, "/batches/night"))
    assert "Spent: 360 of at most 1,000 tokens" in text
    assert "Spent: 0.0000 of at most 2.5 USD" in text
    client.store.start_batch("night", 5, new_generation=False)
    assert "at most" not in text_of(await page_of(http, "/batches/night"))


async def test_a_result_stands_beside_its_source_with_its_neighbours(http, batch):
    ids = batch("night", 3)
    page = await page_of(http, f"/batches/night/results?job={ids[1]}")
    text = text_of(page)
    assert "<strong>Fine</strong>" in page
    assert "Summarise 1" in text
    assert "2 of 3" in text
    assert f"results?job={ids[0]}" in page
    assert f"results?job={ids[2]}" in page
    first = text_of(await page_of(http, "/batches/night/results"))
    assert "doc-0.md" in first
    assert "1 of 3" in first


async def test_a_job_of_another_batch_is_not_found(http, batch):
    batch("night")
    [other] = batch("day", 1)
    assert (await http.get(f"/batches/night/results?job={other}", headers=ACCEPT)).status_code == 404


async def test_hostile_text_does_nothing(http, batch):
    [job_id] = batch("night", 1, failed=1, prompt=HOSTILE, document=HOSTILE, metadata={"a": HOSTILE})
    [other] = batch("day", 1, text=f"{HOSTILE}\n\n[x](javascript:alert(3))", prompt=HOSTILE)
    for path in ("/batches/night", f"/batches/night/results?job={job_id}", f"/batches/day/results?job={other}"):
        page = await page_of(http, path)
        assert "<img" not in page
        assert 'href="javascript:' not in page


@pytest.mark.settings(dashboard={"redact": True})
async def test_with_redact_prompts_and_answers_are_hidden(http, batch):
    ids = batch("night", 2, failed=1, text="the secret answer", prompt="the secret prompt")
    for path in ("/batches/night", f"/batches/night/results?job={ids[0]}", f"/batches/night/results?job={ids[1]}"):
        page = await page_of(http, path)
        assert "secret" not in page
        assert "no credit" not in page
    assert (await http.get("/batches/night/export", headers=ACCEPT)).status_code == 403


async def test_a_batch_is_paused_limited_resumed_redriven_and_cancelled(http, batch, client):
    batch("night", 4, failed=1, open_=2)
    page = await page_of(http, "/batches/night")
    page = await act(http, "/batches/night/pause", page)
    assert client.batch("night").paused
    page = await act(http, "/batches/night/limit", page, concurrent="7")
    assert client.batch("night").concurrent == 7
    page = await act(http, "/batches/night/limit", page, concurrent="")
    assert client.batch("night").concurrent is None
    page = await act(http, "/batches/night/resume", page)
    assert not client.batch("night").paused
    page = await act(http, "/batches/night/redrive", page)
    assert client.batch("night").open == 3
    await act(http, "/batches/night/cancel", page)
    assert client.batch("night").open == 0
    refused = await http.post("/batches/night/limit", data={"csrf": csrf_of(page), "concurrent": "0"}, headers=ACCEPT)
    assert refused.status_code == 422
    assert (await http.post("/batches/night/pause", data={}, headers=ACCEPT)).status_code == 403


async def test_results_are_exported_as_json_lines_and_as_csv(http, batch):
    ids = batch("night", 4, failed=1, open_=1, text="=1+1")
    reply = await http.get("/batches/night/export")
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [line["job_id"] for line in lines] == ids[2::-1]
    assert {line["document"] for line in lines} == {"doc-0.md", "doc-1.md", "doc-2.md"}
    assert reply.headers["Content-Disposition"] == "attachment; filename*=UTF-8''night.jsonl"
    rows = list(csv.DictReader(io.StringIO((await http.get("/batches/night/export?format=csv")).text)))
    assert [row["job_id"] for row in rows] == ids[2::-1]
    assert (rows[0]["text"], rows[-1]["failure.kind"]) == ("'=1+1", "quota"), "no spreadsheet runs it"


async def test_an_open_page_gets_what_has_changed(http, batch, client):
    batch("night", 2, open_=1)
    seen = set()
    async for kind, data in changes(http, "/batches/night"):
        if kind != "block":
            continue
        if data["id"] == "figures" and "paused" in data["html"]:
            break
        seen.add(data["id"])
        if seen == {"figures", "actions", "charts", "documents"}:
            client.pause("night")


async def test_the_pages_are_in_chinese_too(http, batch):
    ids = batch("night", 2, failed=1)
    assert "批次" in text_of(await page_of(http, "/batches?lang=zh-TW"))
    assert "文件" in text_of(await page_of(http, "/batches/night?lang=zh-TW"))
    assert "上一筆" in text_of(await page_of(http, f"/batches/night/results?job={ids[1]}&lang=zh-TW"))
