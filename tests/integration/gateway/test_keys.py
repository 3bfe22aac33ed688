"""API keys: who may call, for what, and that callers do not see each other's jobs."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.integration.gateway.test_jobs import PROBLEM

from threadmill.errors import SettingsError
from threadmill_gateway.options import GatewayOptions
from threadmill_gateway.requests.key_ring import REMEMBERED_S, KeyRing
from threadmill_gateway.requests.problems import Problem
from threadmill_gateway.serve import guarded

pytestmark = pytest.mark.integration

WRONG = "tm_aaaaaaaaaaaa_" + "A" * 43


async def test_as_soon_as_there_is_a_key_every_request_needs_one(caller, http):
    shop = caller("shop")
    assert (await shop.get("/v1/jobs")).status_code == 200
    for headers, challenge in (
        ({}, "Bearer"),
        ({"Authorization": f"Bearer {WRONG}"}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Bearer sk-of-another-server"}, 'Bearer error="invalid_token"'),
    ):
        refused = await http.get("/v1/jobs", headers=headers)
        assert (refused.status_code, refused.headers["content-type"]) == (401, PROBLEM)
        assert refused.headers["www-authenticate"] == challenge
        assert "threadmill keys create" in refused.json()["remedy"]
    assert (await http.get("/healthz")).status_code == 200


async def test_without_keys_a_key_of_an_sdk_does_not_matter(http):
    read = await http.get("/v1/jobs", headers={"Authorization": f"Bearer {WRONG}"})
    assert read.status_code == 200


async def test_without_keys_an_address_of_other_machines_is_served_to_nobody(gateway_of, settings, client):
    with pytest.raises(SettingsError, match="threadmill keys create"):
        guarded(settings, GatewayOptions(), "0.0.0.0")
    assert guarded(settings, GatewayOptions(), "127.0.0.1").open_without_keys
    made = client.create_api_key("shop")
    options = guarded(settings, GatewayOptions(), "0.0.0.0")
    client.revoke_api_key("shop")
    async with httpx.AsyncClient(base_url=gateway_of(open_without_keys=options.open_without_keys)) as http:
        refused = await http.get("/v1/jobs")
        revoked = await http.get("/v1/jobs", headers={"Authorization": f"Bearer {made.text}"})
    assert (refused.status_code, revoked.status_code) == (401, 401)


async def test_a_gateway_remembers_keys_for_five_seconds(client):
    now = 1000.0
    made = client.create_api_key("shop")

    class Keys:
        async def api_keys(self):
            return client.api_keys()

    ring = KeyRing(Keys(), clock=lambda: now)
    assert (await ring.key_of(made.text)).name == "shop"
    client.revoke_api_key("shop")
    now += REMEMBERED_S - 0.1
    assert (await ring.key_of(made.text)).name == "shop"
    now += 0.1
    with pytest.raises(Problem, match="revoked"):
        await ring.key_of(made.text)
    assert await ring.is_empty()


async def test_an_expired_key_opens_nothing(client, http, store, settings):
    made = client.create_api_key("shop", expires_at=datetime.now(UTC) + timedelta(days=1))
    expired = made.key.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    store.hset(f"{settings.key_prefix}:api_keys", "shop", expired.stored)
    refused = await http.get("/v1/jobs", headers={"Authorization": f"Bearer {made.text}"})
    assert refused.status_code == 401
    assert "has expired" in refused.json()["detail"]


async def test_a_key_does_only_what_its_scopes_say(caller):
    reader, sender = caller("reader", scopes=["read"]), caller("sender", scopes=["enqueue"])
    made = await sender.post("/v1/jobs", json={"prompt": "Well?"})
    assert made.status_code == 202
    for refused, scope in (
        (await reader.post("/v1/jobs", json={"prompt": "Well?"}), "enqueue"),
        (await sender.get(f"/v1/jobs/{made.json()['id']}"), "read"),
    ):
        assert refused.status_code == 403
        assert refused.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'
        assert f"lacks the scope `{scope}`" in refused.json()["detail"]


async def test_callers_do_not_see_each_others_jobs(caller):
    shop, desk, operations = caller("shop"), caller("desk"), caller("operations", scopes=["read", "enqueue", "operate"])
    job = (await shop.post("/v1/jobs", json={"prompt": "Well?", "batch": "night", "key": "1"})).json()
    other = (await desk.post("/v1/jobs", json={"prompt": "Well?", "batch": "night", "key": "1"})).json()
    assert job["id"] != other["id"]
    assert (job["tenant"], job["batch"], job["key"]) == ("shop", "night", "1")

    there = f"/v1/jobs/{job['id']}"
    for refused in (
        await desk.get(there),
        await desk.get(f"{there}/events"),
        await desk.post(f"{there}/cancel"),
        await desk.post(f"{there}/redrive"),
    ):
        assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM)
        never = await desk.get("/v1/jobs/00000000-0000-4000-8000-000000000000")
        assert refused.json()["title"] == never.json()["title"]
    for query in ({}, {"batch": "night"}):
        listed = (await desk.get("/v1/jobs", params=query)).json()["data"]
        assert [each["id"] for each in listed] == [other["id"]]
    assert (await desk.get("/v1/jobs", params={"tenant": "shop"})).status_code == 403
    assert (await desk.get("/v1/jobs", params={"batch": "shop.night"})).status_code == 404
    unknown = await desk.get("/v1/jobs", params={"batch": "nigh"})
    assert "shop" not in unknown.text

    seen = (await operations.get("/v1/jobs")).json()["data"]
    assert {(each["tenant"], each["batch"]) for each in seen} == {("shop", "shop.night"), ("desk", "desk.night")}
    assert (await operations.get(there)).status_code == 200


@pytest.mark.parametrize(
    ("field", "status", "said"),
    [
        ({"tenant": "desk"}, 403, "have its name as `tenant`"),
        ({"callback_url": "https://example.com/", "callback_secret_env": "DESK_SECRET"}, 403, "callback_secret_env"),
        ({"endpoint": "openai"}, 403, "may not use the endpoint 'openai'"),
        ({"images": ["/etc/passwd"]}, 422, "cannot name a local file"),
        ({"files": [{"path": "notes.txt"}]}, 422, "cannot name a local file"),
        ({"key": "k" * 510}, 422, "more than 507 characters"),
        ({"batch": "b" * 198}, 422, "too long"),
    ],
)
async def test_a_caller_cannot_ask_for_what_is_not_its_own(caller, field, status, said):
    shop = caller("shop", endpoints=["emulator"])
    refused = await shop.post("/v1/jobs", json={"prompt": "Well?", **field})
    assert (refused.status_code, refused.headers["content-type"]) == (status, PROBLEM)
    assert said in refused.text
    assert refused.json()["errors"][0]["field"] == f"body.{list(field)[-1]}"
    assert (await shop.get("/v1/jobs")).json()["data"] == []


async def test_the_secret_of_a_key_signs_its_callbacks(caller, client):
    shop = caller("shop", callback_secret_env="SHOP_SECRET")
    job = (await shop.post("/v1/jobs", json={"prompt": "Well?", "callback_url": "https://example.com/"})).json()
    assert client.get(job["id"]).job.callback_secret_env == "SHOP_SECRET"
    assert "SHOP_SECRET" not in (await shop.get(f"/v1/jobs/{job['id']}")).text


async def test_open_jobs_are_limited(caller):
    shop = caller("shop", max_open_jobs=1)
    job = (await shop.post("/v1/jobs", json={"prompt": "Well?"})).json()
    refused = await shop.post("/v1/jobs", json={"prompt": "And?"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert (await shop.post(f"/v1/jobs/{job['id']}/cancel")).json()["state"] == "cancelled"
    assert (await shop.post("/v1/jobs", json={"prompt": "And?"})).status_code == 202


async def test_requests_are_limited(caller):
    shop = caller("shop", requests_per_minute=1)
    first = await shop.get("/v1/jobs")
    assert (first.status_code, first.headers["ratelimit-policy"]) == (200, '"minute";q=1;w=60')
    refused = await shop.get("/v1/jobs")
    assert (refused.status_code, refused.headers["content-type"]) == (429, PROBLEM)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"minute";r=0;')


async def test_a_key_may_send_shorter_bodies_only(caller):
    shop = caller("shop", max_body_bytes=100)

    async def pieces():
        yield b'{"prompt": "'
        yield b"x" * 200
        yield b'"}'

    json = {"Content-Type": "application/json"}
    for refused in (
        await shop.post("/v1/jobs", json={"prompt": "x" * 200}),
        await shop.post("/v1/jobs", content=pieces(), headers=json),
    ):
        assert (refused.status_code, refused.headers["content-type"]) == (413, PROBLEM)
        assert "more than 100 bytes" in refused.json()["detail"]
        assert "API key shop" in refused.json()["detail"]
    assert (await shop.post("/v1/jobs", json={"prompt": "Well?"})).status_code == 202
