"""`/v1/jobs/{id}/events`: server-sent events of a job."""

import asyncio
import json

import fastapi.routing
import httpx
import pytest
from tests.integration.gateway.test_jobs import PROBLEM
from tests.served import served

from threadmill_gateway.app import create_app

pytestmark = pytest.mark.integration


def parsed(text):
    """The events of a stream: (kind, id, data)."""
    for frame in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if lines:
            yield lines["event"], lines.get("id"), json.loads(lines["data"])


async def test_a_job_is_followed_from_its_beginning_to_its_end(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?", "stream": True})).json()
    following = asyncio.create_task(http.get(f"/v1/jobs/{job['id']}/events"))
    await run(job["id"])
    stream = await following
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = list(parsed(stream.text))
    states = [data["state"] for kind, _, data in events if kind == "state"]
    assert states == ["queued", "running", "succeeded"]
    assert events[-1][0] == "state"
    text = "".join(data["text"] for kind, _, data in events if kind == "text")
    result = (await http.get(f"/v1/jobs/{job['id']}")).json()["result"]
    assert text == result["text"]


async def test_a_reader_continues_after_its_last_event(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    await run(job["id"])
    whole = list(parsed((await http.get(f"/v1/jobs/{job['id']}/events")).text))
    for at, (_, entry_id, _) in enumerate(whole[:-1]):
        rest = await http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": entry_id})
        assert list(parsed(rest.text)) == whole[at + 1 :]


async def test_a_stream_that_cannot_begin_is_a_problem(http):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    wrong = await http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": "first"})
    missing = await http.get("/v1/jobs/00000000-0000-4000-8000-000000000000/events")
    assert [(each.status_code, each.headers["content-type"]) for each in (wrong, missing)] == [
        (422, PROBLEM),
        (404, PROBLEM),
    ]


async def test_silence_is_interrupted_by_comments(http, monkeypatch):
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    async with http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        async for line in stream.aiter_lines():
            if line.startswith(":"):
                break


async def test_a_reader_that_hangs_up_leaves_no_watch_behind(settings, until):

    app = create_app(settings)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
            async with http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
                await anext(stream.aiter_lines())
                reader = app.state.gateway.client._watcher._reader
                assert reader._watches
        await asyncio.to_thread(until, lambda: not reader._watches)
