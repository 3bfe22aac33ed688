"""What opens the gateway to nobody, and what of others a caller cannot use."""

import pytest

from threadmill_gateway.requests import key_ring

pytestmark = pytest.mark.integration

JOB = {"prompt": "Well?"}


@pytest.fixture
def current(monkeypatch):
    """Has gateways read the keys for each request."""
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 0)


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


async def test_local_files_are_refused_without_keys_too(http):
    assert (await http.post("/v1/jobs", json={**JOB, "images": ["photo.png"]})).status_code == 422


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
