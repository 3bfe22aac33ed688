"""`/events`: jobs and batches are followed as server-sent events."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.integration


async def read(http, path, **headers):
    """Returns the events of a stream that ends: pairs of their fields and their data."""
    found = []
    async with http.stream("GET", path, headers=headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        fields = {}
        async for line in reply.aiter_lines():
            if line == "":
                if "data" in fields:
                    found.append((fields, json.loads(fields["data"])))
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
    return found


async def test_a_job_is_followed_to_its_end_and_continued_after_an_event(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "[[scenario=tools]] Well?", "stream": True})).json()
    path = f"/v1/jobs/{job['id']}/events"
    following = asyncio.create_task(read(http, path))
    await run(job["id"])
    events = await following
    kinds = [fields["event"] for fields, _ in events]
    assert kinds[-1] == "state"
    assert events[-1][1]["state"] == "succeeded"
    assert {"state", "text"} <= set(kinds)
    answer = (await http.get(f"/v1/jobs/{job['id']}")).json()["result"]["text"]
    assert "".join(data["text"] for fields, data in events if fields["event"] == "text") == answer

    at = next(n for n, (fields, _) in enumerate(events) if fields["event"] == "text")
    rest = await read(http, path, **{"Last-Event-ID": events[at][0]["id"]})
    assert [data for _, data in rest][-1]["state"] == "succeeded"
    assert (
        "".join(data["text"] for fields, data in rest if fields["event"] == "text")
        == answer[len(events[at][1]["text"]) :]
    )


async def test_a_wrong_position_and_an_unknown_job_are_refused_before_the_stream_begins(http):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    wrong = await http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": "nonsense"})
    unknown = await http.get("/v1/jobs/nothing/events")
    assert (wrong.status_code, unknown.status_code) == (422, 404)


async def test_a_batch_is_followed_until_no_job_is_open(http, run):
    jobs = [(await http.post("/v1/jobs", json={"prompt": f"{n}?", "batch": "night"})).json() for n in range(2)]
    following = asyncio.create_task(read(http, "/v1/job-batches/night/events"))
    for job in jobs:
        await run(job["id"])
    events = await following
    assert events[0][0]["event"] == "batch"
    assert events[-1][1]["open"] == 0
    assert events[-1][1]["jobs"]["succeeded"] == 2
    assert (await http.get("/v1/job-batches/nothing/events")).status_code == 404
