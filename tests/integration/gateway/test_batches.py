"""`/v1/job-batches`: batches of a caller's jobs."""

import asyncio

import pytest
from tests.integration.gateway.test_events import parsed
from tests.integration.gateway.test_jobs import PROBLEM

from threadmill_gateway.jobs import batch_events

pytestmark = pytest.mark.integration

ROUTES = ["cancel", "pause", "resume", "redrive"]


async def enqueue(http, batch="night", prompt="Well?"):
    return (await http.post("/v1/jobs", json={"prompt": prompt, "batch": batch})).json()["id"]


async def test_a_batch_is_read_paused_resumed_limited_and_cancelled(http):
    await enqueue(http)
    job = await enqueue(http)
    assert [each["name"] for each in (await http.get("/v1/job-batches")).json()["data"]] == ["night"]
    there = "/v1/job-batches/night"
    read = (await http.get(there)).json()
    assert (read["jobs"], read["open"], read["paused"]) == ({"queued": 2}, 2, False)
    assert (await http.post(f"{there}/pause")).json()["paused"]
    assert not (await http.post(f"{there}/resume")).json()["paused"]
    assert (await http.post(f"{there}/limit", json={"concurrent": 3})).json()["concurrent"] == 3
    assert (await http.post(f"{there}/limit", json={"concurrent": None})).json()["concurrent"] is None
    assert (await http.post(f"{there}/limit", json={"concurrent": 0})).status_code == 422
    cancelled = (await http.post(f"{there}/cancel")).json()
    assert (cancelled["open"], cancelled["cancel_requested"]) == (0, True)
    assert (await http.get(f"/v1/jobs/{job}")).json()["state"] == "cancelled"


async def test_failed_jobs_of_a_batch_are_redriven(http, run):
    job = await enqueue(http, prompt="[[scenario=failed]]Well?")
    await run(job)
    assert (await http.get("/v1/job-batches/night")).json()["jobs"]["failed"] == 1
    assert (await http.post("/v1/job-batches/night/redrive")).json()["open"] == 1


async def test_a_batch_is_followed_until_no_job_is_open(http, run, monkeypatch):
    monkeypatch.setattr(batch_events, "LOOK_S", 0.01)
    jobs = [await enqueue(http), await enqueue(http)]
    following = asyncio.create_task(http.get("/v1/job-batches/night/events"))
    for job in jobs:
        await run(job)
    events = list(parsed((await following).text))
    ended = [(entry_id, data) for kind, entry_id, data in events if kind == "job"]
    assert [data for _, data in ended] == [{"job_id": job, "state": "succeeded"} for job in jobs]
    assert [data["open"] for kind, _, data in events if kind == "batch"][-1] == 0

    rest = await http.get("/v1/job-batches/night/events", headers={"Last-Event-ID": ended[0][0]})
    assert [data["job_id"] for kind, _, data in parsed(rest.text) if kind == "job"] == jobs[1:]
    wrong = await http.get("/v1/job-batches/night/events", headers={"Last-Event-ID": "first"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (422, PROBLEM)


async def test_callers_have_batches_of_their_own(caller, client):
    shop, desk, operations = caller("shop"), caller("desk"), caller("operations", scopes=["read", "operate"])
    await enqueue(shop)
    assert (await shop.get("/v1/job-batches")).json()["data"][0]["name"] == "night"
    assert (await desk.get("/v1/job-batches")).json()["data"] == []
    for name in ("night", "shop.night"):
        there = f"/v1/job-batches/{name}"
        replies = [await desk.get(there), await desk.get(f"{there}/events")]
        replies += [await desk.post(f"{there}/{each}") for each in ROUTES]
        replies.append(await desk.post(f"{there}/limit", json={"concurrent": 1}))
        replies.append(await desk.post(f"{there}/callback", json={"url": "https://example.com/"}))
        for refused in replies:
            assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM)
            assert "did you mean" not in refused.text
    untouched = client.batch("shop.night")
    assert (untouched.open, untouched.paused, untouched.concurrent) == (1, False, None)
    assert [each["name"] for each in (await operations.get("/v1/job-batches")).json()["data"]] == ["shop.night"]


async def test_the_callback_of_a_batch_is_signed_with_the_secret_of_the_caller(caller, client):
    shop = caller("shop", callback_secret_env="SHOP_SECRET")
    job = await enqueue(shop)
    there = "/v1/job-batches/night/callback"
    refused = await shop.post(there, json={"url": "https://example.com/", "secret_env": "DESK_SECRET"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "body.callback_secret_env")
    assert (await shop.post(there, json={"url": "https://example.com/?token=1"})).status_code == 200
    client.cancel(job)
    [delivery] = client.callbacks()
    assert (delivery.subject, delivery.receiver.secret_env) == ("shop.night", "SHOP_SECRET")
