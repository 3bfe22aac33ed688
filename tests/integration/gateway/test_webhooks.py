"""Webhooks of a server: from the emulator through the gateway to the worker whose job waits."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from threadmill import JobState
from threadmill_worker.lifecycle import polling

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
RESPONSES = {"wire": "responses", "model": "emulator", "assistant": None, "webhook_secret_env": "HOOK_SECRET"}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.emulated(webhook_secret=SECRET),
    pytest.mark.endpoint(**RESPONSES),
]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
def hooked(emulator, gateway_url):
    """Has the emulator send its webhooks to the gateway, as the plan says."""

    def send(**plan: Any) -> None:
        sent = {"url": f"{gateway_url}/hooks/openai/emulator", **plan}
        httpx.post(f"{emulator.url}/_webhooks", json=sent).raise_for_status()

    return send


@pytest.fixture
async def expecting(worker, store, settings, until):
    """Lets the worker know that webhooks arrive, as after an earlier run."""
    store.set(f"{settings.key_prefix}:webhooks:emulator", 1)
    worker.start()
    await asyncio.to_thread(until, lambda: worker.process._webhook_store.are_arriving("emulator"))


def polls(emulator) -> int:
    return sum(each.method == "GET" and each.path.startswith("/responses/") for each in emulator.requests)


async def test_a_run_is_polled_once_when_its_webhook_arrives(worker, emulator, hooked, expecting):
    hooked()
    result = await worker.run("[[run_s=2]] Why is the sky blue?")
    assert (result.state, polls(emulator)) == (JobState.SUCCEEDED, 1)


@pytest.mark.endpoint(first_poll_s=50, max_poll_interval_s=50)
async def test_the_first_webhook_wakes_its_run_and_makes_later_polls_rare(worker, emulator, hooked):
    hooked()
    result = await worker.run("[[run_s=0.5]] Why is the sky blue?")
    assert (result.state, polls(emulator)) == (JobState.SUCCEEDED, 1)
    assert worker.process._webhook_store.are_arriving("emulator")


def clock() -> str:
    """A tool."""
    return "noon"


@pytest.mark.settings(tools={"clock": "tests.integration.gateway.test_webhooks:clock"})
async def test_each_response_of_a_job_with_tools_is_awaited(worker, emulator, hooked, expecting):
    hooked()
    result = await worker.run("[[scenario=tools run_s=0.5]] Which time is it?", tools=["clock"])
    assert (result.state, len(emulator.sent("POST", "/responses")), polls(emulator)) == (JobState.SUCCEEDED, 2, 2)


async def test_runs_that_end_at_once_lose_no_webhook(worker, emulator, hooked, expecting):
    hooked()
    results = await asyncio.gather(*(worker.run("[[run_s=0]] Why is the sky blue?") for _ in range(20)))
    assert [result.state for result in results] == [JobState.SUCCEEDED] * 20
    assert polls(emulator) <= 20


async def test_webhooks_may_come_twice_and_late(worker, emulator, hooked, expecting, until):
    hooked(times=2, delay_s=0.2)
    results = [await worker.run("[[run_s=0.1]] Why is the sky blue?") for _ in range(3)]
    assert [result.state for result in results] == [JobState.SUCCEEDED] * 3
    assert polls(emulator) == 3
    await asyncio.to_thread(until, lambda: httpx.get(f"{emulator.url}/_webhooks").json()["sent"] == 6)


async def test_the_worker_that_takes_a_job_over_is_woken(
    worker, worker_of, settings, emulator, hooked, expecting, until
):
    hooked()
    job_id = worker.create("[[run_s=3]] Why is the sky blue?")
    running = asyncio.create_task(worker.process.run(job_id, None))
    await asyncio.to_thread(until, lambda: "awaits" in worker.client.store.fields(job_id))
    await worker.process.close()
    await running
    other = worker_of(settings)
    other.start()
    await asyncio.to_thread(until, lambda: other.process._webhook_store.are_arriving("emulator"))
    assert (await other.see_through(job_id)).state is JobState.SUCCEEDED
    assert emulator.created() == 1
    assert polls(emulator) <= 2, "one when it begins, one for the webhook"


async def test_a_lost_webhook_costs_the_wait_for_the_safety_net(worker, emulator, hooked, expecting, monkeypatch):
    monkeypatch.setattr(polling, "SAFETY_NET_S", 1.0)
    hooked(times=0)
    result = await worker.run("[[run_s=0.1]] Why is the sky blue?")
    assert (result.state, polls(emulator)) == (JobState.SUCCEEDED, 1)


@pytest.mark.emulated(batch_s=0.5)
@pytest.mark.endpoint(batch_lane_wait_s=0.01, first_poll_s=50)
@pytest.mark.settings(sweep_interval_s=0.1)
async def test_a_remote_batch_is_polled_when_its_webhook_arrives(worker, emulator, hooked):
    hooked()
    job_id = worker.create(lane="batch")
    await worker.process.run(job_id, None)
    while not worker.record(job_id).result:
        for message in worker.take_messages():
            await worker.process.run(message, None)
        await asyncio.sleep(0.02)
    assert worker.record(job_id).state is JobState.SUCCEEDED
    looks = [each for each in emulator.requests if each.method == "GET" and each.path.startswith("/batches/")]
    assert len(looks) == 2, "one after it was started, one for the webhook"


def signed(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """The headers of a webhook."""
    moment = datetime.fromtimestamp(int(at), UTC)
    signature = Webhook(secret).sign("wh_1", moment, body.decode())
    return {"webhook-id": "wh_1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def event(type: str = "response.completed", id: str = "resp_1") -> bytes:
    return json.dumps({"object": "event", "id": "evt_1", "type": type, "data": {"id": id}}).encode()


async def send(http, body: bytes, endpoint: str = "emulator", at: float = 0.0, **more: Any) -> httpx.Response:
    headers = signed(body, at or time.time(), **more)
    return await http.post(f"/hooks/openai/{endpoint}", content=body, headers=headers)


@pytest.mark.parametrize("type", ["response.completed", "response.incomplete", "batch.expired", "eval.run.succeeded"])
async def test_a_verified_webhook_is_accepted_whatever_it_tells(http, type):
    for _ in range(2):
        reply = await send(http, event(type))
        assert (reply.status_code, reply.content) == (204, b"")


async def test_a_webhook_needs_no_api_key(http, client):
    client.create_api_key("shop")
    assert (await http.get("/v1/jobs/some")).status_code == 401
    assert (await send(http, event())).status_code == 204


@pytest.mark.parametrize(
    ("at", "more"), [(-400, {}), (400, {}), (0, {"secret": "whsec_" + "A" * 32})], ids=["old", "early", "wrong secret"]
)
async def test_a_wrong_signature_is_refused(http, at, more):
    reply = await send(http, event(), at=time.time() + at, **more)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")


async def test_a_changed_body_is_refused(http):
    headers = signed(event(), time.time())
    reply = await http.post("/hooks/openai/emulator", content=event(id="resp_2"), headers=headers)
    assert reply.status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", event(id=""), event(id="a b"), event(id="a\nb"), event(id="x" * 600)]
)
async def test_a_verified_body_that_is_no_event_is_refused(http, body):
    assert (await send(http, body)).status_code == 400


@pytest.mark.parametrize("endpoint", ["nowhere", "a%2Fb"])
async def test_only_endpoints_with_a_secret_receive_webhooks(http, endpoint):
    assert (await send(http, event(), endpoint)).status_code == 404


@pytest.mark.endpoint(webhook_secret_env=None)
async def test_an_endpoint_without_a_secret_receives_none(http):
    assert (await send(http, event())).status_code == 404


@pytest.mark.parametrize("value", ["", "sk-no-webhook-secret"])
async def test_a_gateway_without_the_secret_has_webhooks_sent_again(http, monkeypatch, value):
    monkeypatch.setenv("HOOK_SECRET", value)
    reply = await send(http, event())
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "HOOK_SECRET" not in reply.text


async def test_a_huge_body_is_refused(gateway_of):
    async with httpx.AsyncClient(base_url=gateway_of(max_body_bytes=100)) as http:
        assert (await send(http, event(id="x" * 200))).status_code == 413
