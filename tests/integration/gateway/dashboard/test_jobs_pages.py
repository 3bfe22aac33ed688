"""`/jobs`: the search, the page of one job, and what an operator can do there."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from tests.hostile import HOSTILE_TEXTS, dangers
from tests.pages import ACCEPT, changes, csrf_of, text_of

from threadmill import FailureKind, JobState
from threadmill.job.result import Artifact, Citation, Failure, JobResult, Timings
from threadmill.store import requests
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration


@pytest.fixture
def end(client, settings):
    """Ends a queued job with a result that the test makes."""

    def end(job_id, state=JobState.SUCCEEDED, **fields):
        record = client.get(job_id)
        at = record.created_at + timedelta(seconds=2)
        timings = Timings(created_at=record.created_at, started_at=at, finished_at=at)
        result = JobResult(job_id=job_id, state=state, timings=timings, batch=record.job.batch, **fields)
        client.store._run("jobs/finish", **requests.finish(None, result, "client", settings))
        return result

    return end


@pytest.fixture
def act(http):
    """Sends the form of an action, as a browser does."""

    async def act(job_id, action, **fields):
        page = await http.get(f"/jobs/{job_id}", headers=ACCEPT)
        sent = {"csrf": csrf_of(page.text)} | fields
        return await http.post(f"/jobs/{job_id}/{action}", data=sent, headers=ACCEPT)

    return act


async def blocks(http, path):
    """The parts of an open page that have changed."""
    async for kind, data in changes(http, path):
        if kind == "block":
            yield data


FAILURE = Failure(kind=FailureKind.STUCK, message="the run did not end", retryable=True)


class TestTheSearch:
    async def test_it_lists_jobs_with_links_to_them_and_to_their_batches(self, http, client):
        job = client.enqueue({"prompt": "Why is the sky blue?", "batch": "night"})
        page = await http.get("/jobs", headers=ACCEPT)
        assert page.status_code == 200
        assert f'href="/jobs/{job.id}"' in page.text
        assert 'href="/batches/night"' in page.text
        assert "Why is the sky blue?" in page.text

    async def test_it_finds_by_state_failure_batch_endpoint_metadata_tenant_and_time(self, http, client, end):
        failed = client.enqueue({"prompt": "A", "metadata": {"order": "7"}, "batch": "b", "tenant": "t"})
        end(failed.id, JobState.FAILED, failure=FAILURE)
        other = client.enqueue("B")
        tomorrow = f"{datetime.now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
        queries = ["state=failed", "failure=stuck", "batch=b", "metadata=order%3D7", "tenant=t", "state=failed&batch=b"]
        for query in queries:
            page = await http.get(f"/jobs?{query}", headers=ACCEPT)
            assert (failed.id in page.text, other.id in page.text) == (True, False), query
        page = await http.get("/jobs?endpoint=emulator", headers=ACCEPT)
        assert other.id in page.text
        page = await http.get(f"/jobs?since={tomorrow}", headers=ACCEPT)
        assert "No job matches." in page.text

    async def test_it_has_pages_and_keeps_what_was_searched_for(self, http, client):
        client.enqueue_many([{"prompt": f"Number {number}.", "batch": "b"} for number in range(60)])
        first = await http.get("/jobs?batch=b", headers=ACCEPT)
        more = first.text.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
        second = await http.get(more, headers=ACCEPT)
        assert "batch=b" in more
        shown = [page.text.count('<tr>\n<td><a href="/jobs/') for page in (first, second)]
        assert shown == [50, 10]
        assert 'rel="next"' not in second.text

    async def test_an_id_leads_to_its_job(self, http, client):
        job = client.enqueue("Well?")
        page = await http.get("/jobs", params={"id": f" {job.id} "}, headers=ACCEPT)
        assert (page.status_code, page.headers["Location"]) == (303, f"/jobs/{job.id}")
        page = await http.get("/jobs", params={"id": "../batches"}, headers=ACCEPT)
        assert page.headers["Location"] == "/jobs/..%2Fbatches"

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("state=odd", "'odd' is none of queued, running"),
            ("metadata=order", "'order' is not KEY=VALUE"),
            ("since=monday", "'monday' is not a time"),
            ("batch=a/b", "no batch can have the name"),
            ("batch=unknown", "unknown"),
            ("cursor=x", "cursor"),
        ],
    )
    async def test_a_mistake_is_told_on_the_page(self, http, query, said):
        page = await http.get(f"/jobs?{query}", headers=ACCEPT)
        assert page.status_code == 200
        assert said in text_of(page.text)
        assert 'role="alert"' in page.text

    async def test_it_shows_the_command_that_lists_the_same(self, http, client):
        client.enqueue({"prompt": "A", "batch": "b"})
        page = await http.get("/jobs?batch=b&metadata=a%3D1+b%3Dx;y&state=queued", headers=ACCEPT)
        assert "threadmill jobs --state queued --batch b --metadata a=1 --metadata 'b=x;y'" in text_of(page.text)

    async def test_an_open_list_shows_new_jobs(self, http, client):
        async for data in blocks(http, "/jobs"):
            assert data["id"] == "jobs"
            if "Well now?" in data["html"]:
                break
            await asyncio.to_thread(client.enqueue, "Well now?")


class TestAJob:
    async def test_a_queued_job_says_what_it_waits_for(self, http, client):
        job = client.enqueue({"prompt": "Well?", "metadata": {"order": "7"}})
        page = text_of((await http.get(f"/jobs/{job.id}", headers=ACCEPT)).text)
        assert "Waits for a worker: none is running" in page
        assert "order 7" in page
        assert f"threadmill jobs cancel {job.id}" in page
        assert "Redrive" not in page

    async def test_a_finished_job_shows_its_conversation_and_timeline(self, http, worker):
        picture = "data:image/png;base64,iVBORw0KGgo="
        messages = [{"role": "assistant", "content": "I *know*."}]
        images = [picture, "https://shop.example/cat.png"]
        result = await worker.run("What is <this>?", messages=messages, images=images)
        page = (await http.get(f"/jobs/{result.job_id}", headers=ACCEPT)).text
        assert "<em>know</em>" in page
        assert "What is &lt;this&gt;?" in page
        assert f'src="{picture}"' in page
        assert 'src="https://shop.example' not in page
        assert "https://shop.example/cat.png" in page
        text = text_of(page)
        assert "<em>Emulated answer" in page
        for said in ("Timeline", "claimed", "run created", "ended succeeded"):
            assert said in text

    async def test_an_answer_has_its_sources_and_files(self, http, client, end):
        job = client.enqueue("Well?")
        sources = [
            Citation(number=1, name="The page", url="https://shop.example/a", quote="Nine to five."),
            Citation(number=2, name="plan.pdf", file_id="file_1"),
        ]
        files = [
            Artifact(file_id="f1", name="plot 1.png", uri="/x/plot 1.png", media_type="image/png", size=2048),
            Artifact(file_id="f2", name="lost.csv", error="it was gone"),
        ]
        end(job.id, text="See **there** [1].", citations=sources, files=files, parsed={"a": [1]}, model="gpt-x")
        page = (await http.get(f"/jobs/{job.id}", headers=ACCEPT)).text
        assert "<strong>there</strong>" in page
        assert '<a href="https://shop.example/a" rel="noopener noreferrer">The page</a>' in page
        assert "Nine to five." in page
        assert f'<img class="picture" src="/jobs/{job.id}/artifacts/plot%201.png"' in page
        assert "it was gone" in page
        assert "gpt-x" in page

    async def test_a_failed_job_says_why_and_what_can_be_done(self, http, client, end):
        job = client.enqueue("Well?")
        end(job.id, JobState.FAILED, failure=FAILURE)
        page = text_of((await http.get(f"/jobs/{job.id}", headers=ACCEPT)).text)
        assert "stuck: the run did not end (may succeed when it is redriven)" in page
        assert f"threadmill jobs redrive {job.id}" in page

    async def test_a_redriven_job_shows_its_earlier_results(self, http, client, end):
        job = client.enqueue("Well?")
        end(job.id, JobState.FAILED, failure=FAILURE)
        client.redrive(job.id)
        page = text_of((await http.get(f"/jobs/{job.id}", headers=ACCEPT)).text)
        assert "Results before it was redriven" in page
        assert "stuck: the run did not end" in page

    async def test_the_other_jobs_of_its_thread_are_linked(self, http, client, worker):
        first = await worker.run("Well?", keep_thread=True)
        later = worker.create("And then?", thread=first.thread_id)
        page = (await http.get(f"/jobs/{first.job_id}", headers=ACCEPT)).text
        assert f'href="/jobs/{later}"' in page
        page = (await http.get(f"/jobs/{later}", headers=ACCEPT)).text
        assert f'href="/jobs/{first.job_id}"' in page

    async def test_a_job_that_does_not_exist_is_a_page(self, http):
        page = await http.get("/jobs/no-such-job", headers=ACCEPT)
        assert page.status_code == 404
        assert "no-such-job" in page.text

    async def test_the_record_is_shown_as_it_is_stored(self, http, client, store, settings):
        job = client.enqueue("Well?" * 200)
        page = await http.get(f"/jobs/{job.id}/raw", headers=ACCEPT)
        assert "Well?Well?" in page.text
        store.hset(f"{settings.key_prefix}:job:{job.id}", "created_at", "damaged")
        assert (await http.get(f"/jobs/{job.id}", headers=ACCEPT)).status_code != 200
        page = await http.get(f"/jobs/{job.id}/raw", headers=ACCEPT)
        assert (page.status_code, "damaged" in page.text) == (200, True)

    async def test_an_open_page_shows_the_text_while_it_is_written(self, http, worker):
        worker.start()
        job_id = worker.create("[[scenario=echo deltas=40 run_s=20]]" + "All work and no play. " * 20, stream=True)
        running = asyncio.create_task(worker.see_through(job_id))
        async for data in blocks(http, f"/jobs/{job_id}"):
            if data["id"] == "answer" and "All work" in data["html"]:
                assert "Being written" in data["html"]
                break
        worker.client.cancel(job_id)
        assert (await running).state is JobState.CANCELLED

    async def test_an_open_page_shows_the_end(self, http, client, end):
        job = client.enqueue("Well?")
        seen = set()
        async for data in blocks(http, f"/jobs/{job.id}"):
            seen.add(data["id"])
            if data["id"] == "answer" and "So it is." in data["html"]:
                break
            if "state" in seen and client.get(job.id).result is None:
                end(job.id, text="So it is.")
        assert seen == {"state", "answer", "timeline", "more"}

    async def test_an_open_page_does_not_follow_a_job_that_writes_no_text(self, http, client, store, settings):
        job = client.enqueue("Well?")
        looks = 0
        async for kind, _ in changes(http, f"/jobs/{job.id}"):
            looks += kind == "alive"
            if looks == 2:
                break
        assert not store.exists(Keys(settings.key_prefix).followed(job.id)), "its worker would send events"


class TestActions:
    async def test_a_queued_job_is_cancelled(self, http, client, act):
        job = client.enqueue("Well?")
        page = await act(job.id, "cancel")
        assert (page.status_code, page.headers["Location"]) == (303, f"/jobs/{job.id}")
        assert client.get(job.id).state is JobState.CANCELLED

    async def test_a_failed_job_is_redriven(self, client, act, end):
        job = client.enqueue("Well?")
        end(job.id, JobState.FAILED, failure=FAILURE)
        await act(job.id, "redrive")
        assert client.get(job.id).state is JobState.QUEUED

    async def test_a_finished_job_is_deleted(self, http, client, act, end):
        job = client.enqueue("Well?")
        end(job.id, text="So.")
        page = await act(job.id, "delete")
        assert page.headers["Location"] == "/jobs"
        assert (await http.get(f"/jobs/{job.id}", headers=ACCEPT)).status_code == 404

    async def test_a_job_that_has_not_ended_is_not_deleted(self, client, act):
        job = client.enqueue("Well?")
        page = await act(job.id, "delete")
        assert page.status_code == 409
        assert client.get(job.id).state is JobState.QUEUED

    @pytest.mark.parametrize("action", ["cancel", "redrive", "delete"])
    async def test_a_form_of_another_session_changes_nothing(self, http, client, end, action):
        job = client.enqueue("Well?")
        if action != "cancel":
            end(job.id, JobState.FAILED, failure=FAILURE)
        before = client.get(job.id)
        page = await http.post(f"/jobs/{job.id}/{action}", data={"csrf": "0" * 64}, headers=ACCEPT)
        assert page.status_code == 403
        assert client.get(job.id) == before


class TestHidden:
    @pytest.fixture
    def settings(self, make_settings, base_url):
        return make_settings(base_url, dashboard={"redact": True})

    async def test_prompts_and_answers_are_nowhere(self, http, worker, store, settings):
        result = await worker.run("[[scenario=tools]]\nThe secret question.", assistant="asst_echo")
        progress = json.dumps({"deadline_at": 1, "x": "secret"})
        store.hset(f"{settings.key_prefix}:job:{result.job_id}", "progress", progress)
        for path in ("/jobs", f"/jobs/{result.job_id}", f"/jobs/{result.job_id}/raw"):
            page = (await http.get(path, headers=ACCEPT)).text
            assert "secret" not in page.lower()
            assert result.text[:20] not in page
        async for data in blocks(http, f"/jobs/{result.job_id}"):
            assert "secret" not in data["html"].lower()
            if data["id"] == "timeline":
                assert "SEARCH" in data["html"]
                break


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
async def test_hostile_texts_do_nothing(http, client, end, text):
    """Prompts, answers, names of files, metadata and failures are text, whatever they contain."""
    short = text[:60]
    asked = {"prompt": text, "messages": [{"role": "assistant", "content": text}], "metadata": {short: text}}
    answered, failed, waiting = (client.enqueue(asked | {"instructions": text, "tenant": "t"}) for _ in range(3))
    files = [
        Artifact(file_id=text, name=short.replace("/", "_") or "x", uri="/x", media_type=text),
        Artifact(file_id="f", name=short, error=text),
    ]
    sources = [Citation(number=1, name=text, url=text, quote=text), Citation(number=2, url=f"javascript:{text}")]
    end(answered.id, text=text, files=files, citations=sources, parsed={text: text}, steps=[{"type": text}], model=text)
    end(failed.id, JobState.FAILED, failure=Failure(kind=FailureKind.SERVER_ERROR, message=text, code=text))
    client.redrive(failed.id)
    end(failed.id, JobState.FAILED, failure=Failure(kind=FailureKind.SERVER_ERROR, message=text, code=text))
    names = ("state", "failure", "endpoint", "batch", "tenant", "metadata", "since", "until", "cursor")
    pages = [f"/jobs/{each.id}{part}" for each in (answered, failed, waiting) for part in ("", "/raw")]
    for path, query in [*((path, {}) for path in pages), ("/jobs", {}), *(("/jobs", {name: text}) for name in names)]:
        page = await http.get(path, params=query, headers=ACCEPT)
        assert dangers(page.text) == [], path
    async for data in blocks(http, f"/jobs/{answered.id}"):
        assert dangers(data["html"]) == []
        if data["id"] == "more":
            break
