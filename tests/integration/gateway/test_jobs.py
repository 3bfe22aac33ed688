"""`/v1/jobs`: jobs are enqueued, read and awaited over HTTP."""

import asyncio
import uuid

import httpx
import pytest

pytestmark = pytest.mark.integration

PROBLEM = "application/problem+json"


async def test_a_job_is_enqueued_run_and_read(http, run):
    made = await http.post("/v1/jobs", json={"prompt": "Why is the sky blue?", "metadata": {"order": "4711"}})
    assert made.status_code == 202
    job = made.json()
    assert (job["state"], job["endpoint"], job["metadata"]) == ("queued", "emulator", {"order": "4711"})
    assert made.headers["location"] == f"/v1/jobs/{job['id']}"

    await run(job["id"])
    read = await http.get(made.headers["location"])
    assert read.json()["state"] == "succeeded"
    assert "sky" in read.json()["result"]["text"]
    assert "retry-after" not in read.headers


async def test_wait_holds_the_answer_back_until_the_job_has_ended(http, run):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    waiting = asyncio.create_task(http.get(f"/v1/jobs/{job['id']}", params={"wait": 60}))
    await run(job["id"])
    assert (await waiting).json()["state"] == "succeeded"


async def test_wait_ends_after_its_time(http):
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    read = await http.get(f"/v1/jobs/{job['id']}", params={"wait": 1})
    assert (read.status_code, read.json()["state"], read.headers["retry-after"]) == (200, "queued", "1")


async def test_the_same_idempotency_key_names_the_same_job(http):
    key = {"Idempotency-Key": f"k-{uuid.uuid4()}"}
    first = await http.post("/v1/jobs", json={"prompt": "Well?"}, headers=key)
    again = await http.post("/v1/jobs", json={"prompt": "Well?"}, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first.json()["id"], "true")

    other = await http.post("/v1/jobs", json={"prompt": "Something else?"}, headers=key)
    assert (other.status_code, other.headers["content-type"]) == (422, PROBLEM)
    assert first.json()["id"] in other.json()["detail"]
    both = await http.post("/v1/jobs", json={"prompt": "Well?", "key": "another"}, headers=key)
    assert both.status_code == 422


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"prompt": " "}, "is blank"),
        ({"promt": "Well?"}, "promt"),
        ({"prompt": "Well?", "endpoint": "nowhere"}, "there is no endpoint 'nowhere'"),
        ({}, "a job needs"),
    ],
)
async def test_a_wrong_job_is_a_problem_that_says_what_is_wrong(http, body, said):
    refused = await http.post("/v1/jobs", json=body)
    assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM)
    assert said in refused.text


@pytest.mark.parametrize("job_id", ["no-such-job", "00000000-0000-4000-8000-000000000000"])
async def test_a_job_that_does_not_exist_is_not_found(http, job_id):
    refused = await http.get(f"/v1/jobs/{job_id}")
    assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM)


async def test_an_unknown_path_and_a_large_body_are_problems_too(gateway_of):
    async with httpx.AsyncClient(base_url=gateway_of(max_body_bytes=1000)) as http:
        unknown = await http.get("/v1/nothing")
        large = await http.post("/v1/jobs", json={"prompt": "x" * 2000})
    assert [(each.status_code, each.headers["content-type"]) for each in (unknown, large)] == [
        (404, PROBLEM),
        (413, PROBLEM),
    ]


async def test_the_gateway_is_ready_while_redis_answers(http, gateway_of, make_settings):
    assert (await http.get("/healthz")).json() == (await http.get("/readyz")).json() == {"status": "ok"}
    away = make_settings("http://127.0.0.1:9/v1", redis_url="redis://127.0.0.1:9/0")
    async with httpx.AsyncClient(base_url=gateway_of(away)) as without_redis:
        assert (await without_redis.get("/healthz")).status_code == 200
        refused = [await without_redis.get("/readyz"), await without_redis.post("/v1/jobs", json={"prompt": "Well?"})]
    for each in refused:
        assert (each.status_code, each.headers["retry-after"], each.headers["content-type"]) == (503, "5", PROBLEM)
        assert "127.0.0.1" not in each.text


async def test_a_body_of_unknown_length_is_limited_and_a_deep_one_is_refused(gateway_of):
    async def pieces():
        """The last one is too much: the gateway does not hang up while more is sent."""
        for length in (3000, 7000):
            yield b"[" * length

    async with httpx.AsyncClient(base_url=gateway_of(max_body_bytes=5000)) as http:
        large = await http.post("/v1/jobs", content=pieces(), headers={"Content-Type": "application/json"})
    async with httpx.AsyncClient(base_url=gateway_of()) as http:
        nested = b'{"prompt": "Well?", "tools": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        deep = await http.post("/v1/jobs", content=nested, headers={"Content-Type": "application/json"})
        alive = await http.get("/healthz")
    assert (large.status_code, large.headers["content-type"]) == (413, PROBLEM)
    assert (deep.status_code, deep.headers["content-type"]) == (400, PROBLEM)
    assert alive.status_code == 200
