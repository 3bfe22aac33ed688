"""API keys: who may call the gateway, for what, and which jobs a caller knows."""

from datetime import UTC, datetime, timedelta

import pytest

from threadmill_gateway import key_ring

pytestmark = pytest.mark.integration

JOB = {"prompt": "Well?"}


@pytest.fixture
def current(monkeypatch):
    """Has gateways read the keys for each request."""
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 0)


async def test_without_keys_everybody_may_call_and_with_one_nobody_without_it(http, key, current):
    assert (await http.get("/v1/jobs")).status_code == 200
    ada = key("ada")
    refused = await http.get("/v1/jobs")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "threadmill keys create" in refused.json()["remedy"]
    assert (await http.get("/v1/jobs", headers=ada)).status_code == 200


async def test_a_gateway_that_others_reach_needs_a_key_also_when_there_is_none(gateway_of, http_of):
    async with http_of(gateway_of(open_without_keys=False)) as http:
        assert (await http.get("/v1/jobs")).status_code == 401
        assert (await http.get("/readyz")).status_code == 200


async def test_a_web_page_whose_name_leads_to_this_machine_cannot_use_a_gateway_without_keys(http, key, current):
    rebound = {"Host": "attacker.example"}
    refused = await http.post("/v1/jobs", json=JOB, headers=rebound)
    assert (refused.status_code, "threadmill keys create" in refused.json()["remedy"]) == (403, True)
    assert (await http.get("/v1/jobs", headers={"Host": "localhost:8080"})).status_code == 200
    assert (await http.get("/v1/jobs", headers=key("ada") | rebound)).status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer tm_x", "Basic YTpi", f"Bearer tm_{'a' * 12}_{'x' * 43}", "tm_a_b"]
)
async def test_what_is_no_key_opens_nothing(http, key, header):
    key("ada")
    assert (await http.post("/v1/jobs", json=JOB, headers={"Authorization": header})).status_code == 401


async def test_the_secret_of_another_key_opens_nothing(http, key):
    [ada, bob] = (key(name)["Authorization"].removeprefix("Bearer ") for name in ("ada", "bob"))
    mixed = "_".join([*ada.split("_", 2)[:2], bob.split("_", 2)[2]])
    assert (await http.get("/v1/jobs", headers={"Authorization": f"Bearer {mixed}"})).status_code == 401


async def test_a_revoked_key_and_one_that_has_expired_open_nothing(http, key, client, store, settings, current):
    ada, old = key("ada"), key("old", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert (await http.get("/v1/jobs", headers=ada)).status_code == 200
    client.revoke_api_key("ada")
    assert (await http.get("/v1/jobs", headers=ada)).status_code == 401
    [there] = client.api_keys()
    past = there.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    store.hset(f"{settings.key_prefix}:api_keys", "old", past.stored)
    expired = await http.get("/v1/jobs", headers=old)
    assert (expired.status_code, "has expired" in expired.json()["detail"]) == (401, True)


async def test_a_key_is_known_for_some_seconds(http, key, client):
    ada = key("ada")
    assert (await http.get("/v1/jobs", headers=ada)).status_code == 200
    client.revoke_api_key("ada")
    assert (await http.get("/v1/jobs", headers=ada)).status_code == 200


async def test_a_scope_that_the_key_lacks_is_named(http, key):
    reader, writer = key("reader", scopes=["read"]), key("writer", scopes=["enqueue"])
    refused = [
        await http.post("/v1/jobs", json=JOB, headers=reader),
        await http.get("/v1/jobs", headers=writer),
    ]
    assert [each.status_code for each in refused] == [403] * 2
    assert ["`enqueue`" in refused[0].text, "`read`" in refused[1].text] == [True] * 2


async def test_callers_do_not_know_each_others_jobs(http, key, run):
    ada, bob, root = key("ada"), key("bob"), key("root", scopes=["read", "enqueue", "operate"])
    named = {**JOB, "key": "order-1", "batch": "night"}
    [of_ada, of_bob] = [(await http.post("/v1/jobs", json=named, headers=each)).json() for each in (ada, bob)]
    assert of_ada["id"] != of_bob["id"]
    assert (of_ada["tenant"], of_ada["key"], of_ada["batch"]) == ("ada", "order-1", "night")

    await run(of_ada["id"])
    path = f"/v1/jobs/{of_ada['id']}"
    for refused in (
        await http.get(path, headers=bob),
        await http.post(f"{path}/cancel", headers=bob),
        await http.post(f"{path}/redrive", headers=bob),
        await http.get(f"{path}/events", headers=bob),
    ):
        assert refused.status_code == 404
        assert refused.json()["detail"] == (await http.get(f"/v1/jobs/{'x' * 36}", headers=bob)).json()[
            "detail"
        ].replace("x" * 36, of_ada["id"])
    assert (await http.get(path, headers=ada)).json()["result"]["batch"] == "night"
    assert (await http.get(path, headers=root)).json()["batch"] == "ada.night"

    async def listed(who, **query):
        return {each["id"] for each in (await http.get("/v1/jobs", params=query, headers=who)).json()["data"]}

    assert await listed(ada) == await listed(ada, batch="night") == {of_ada["id"]}
    assert await listed(bob) == {of_bob["id"]}
    assert await listed(root) == {of_ada["id"], of_bob["id"]}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"tenant": "bob"}, 403, "`tenant`"),
        ({"callback_url": "https://hooks.example/x", "callback_secret_env": "OTHER_SECRET"}, 403, "secret"),
        ({"thread": "thread_of_somebody_else"}, 403, "thread_of_somebody_else"),
        ({"images": ["/etc/passwd"]}, 422, "/etc/passwd"),
    ],
)
async def test_a_job_may_not_name_what_belongs_to_others(http, key, fields, status, said):
    refused = await http.post("/v1/jobs", json={**JOB, **fields}, headers=key("ada"))
    assert (refused.status_code, said in refused.text) == (status, True)


async def test_local_files_are_refused_without_keys_too(http):
    assert (await http.post("/v1/jobs", json={**JOB, "images": ["photo.png"]})).status_code == 422


async def test_the_secret_of_the_key_signs_the_callbacks_of_its_jobs(http, key, client):
    ada = key("ada", callback_secret_env="ADA_SECRET")
    made = await http.post("/v1/jobs", json={**JOB, "callback_url": "https://hooks.example/x"}, headers=ada)
    assert client.get(made.json()["id"]).job.callback_secret_env == "ADA_SECRET"
    without = await http.post("/v1/jobs", json=JOB, headers=ada)
    assert client.get(without.json()["id"]).job.callback_secret_env is None


async def test_a_caller_continues_only_threads_of_its_own_jobs(http, key, run):
    ada, bob = key("ada"), key("bob")
    kept = (await http.post("/v1/jobs", json={**JOB, "keep_thread": True}, headers=ada)).json()
    await run(kept["id"])
    thread = (await http.get(f"/v1/jobs/{kept['id']}", headers=ada)).json()["result"]["thread_id"]
    assert (await http.post("/v1/jobs", json={**JOB, "thread": thread}, headers=bob)).status_code == 403
    assert (await http.post("/v1/jobs", json={**JOB, "thread": thread}, headers=ada)).status_code == 202


async def test_a_key_may_be_for_some_endpoints_only(http, key, client, store, settings):
    elsewhere = key("ada")
    [there] = client.api_keys()
    other = there.model_copy(update={"endpoints": ("davinci",)})  # of other settings
    store.hset(f"{settings.key_prefix}:api_keys", "ada", other.stored)
    refused = await http.post("/v1/jobs", json=JOB, headers=elsewhere)
    assert (refused.status_code, "davinci" in refused.json()["remedy"]) == (403, True)
    assert (await http.get("/v1/models", headers=elsewhere)).json()["data"] == []
    response = await http.post("/v1/responses", json={"model": "emulator", "input": "Well?"}, headers=elsewhere)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "permission_denied")


async def test_openai_clients_need_keys_too(http, key):
    ada, bob = key("ada"), key("bob")
    refused = await http.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    body = {"model": "emulator", "input": "Well?", "background": True}
    made = (await http.post("/v1/responses", json=body, headers=ada)).json()
    assert (await http.get(f"/v1/responses/{made['id']}", headers=ada)).status_code == 200
    for method, path in (("GET", ""), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/input_items")):
        assert (await http.request(method, f"/v1/responses/{made['id']}{path}", headers=bob)).status_code == 404


async def test_a_key_has_its_limits(http, key, run):
    ada = key("ada", max_open_jobs=1, max_body_bytes=200)
    first = (await http.post("/v1/jobs", json=JOB, headers=ada)).json()
    more = await http.post("/v1/jobs", json=JOB, headers=ada)
    assert (more.status_code, more.headers["retry-after"]) == (429, "5")
    await run(first["id"])
    assert (await http.post("/v1/jobs", json=JOB, headers=ada)).status_code == 202

    async def pieces():
        yield b'{"prompt": "' + b"x" * 300 + b'"}'

    json = ada | {"Content-Type": "application/json"}
    assert (await http.post("/v1/jobs", json={"prompt": "x" * 300}, headers=ada)).status_code == 413
    assert (await http.post("/v1/jobs", content=pieces(), headers=json)).status_code == 413


async def test_requests_are_limited_by_the_minute(http, key):
    ada = key("ada", requests_per_minute=2)
    replies = [await http.get("/v1/jobs", headers=ada) for _ in range(3)]
    assert [each.status_code for each in replies] == [200, 200, 429]
    assert replies[0].headers["ratelimit-policy"] == '"minute";q=2;w=60'
    assert replies[0].headers["ratelimit"].startswith('"minute";r=1;t=')
    assert int(replies[2].headers["retry-after"]) > 0
