"""Routes of operators: endpoints and callbacks; and the page that lists all routes."""

import httpx
import pytest
from tests.integration.gateway.test_jobs import PROBLEM

pytestmark = pytest.mark.integration


async def test_an_endpoint_is_paused_and_resumed(http):
    [endpoint] = (await http.get("/v1/endpoints")).json()["data"]
    assert (endpoint["name"], endpoint["is_default"], endpoint["paused"]) == ("emulator", True, None)
    paused = await http.post("/v1/endpoints/emulator/pause", json={"reason": "maintenance"})
    assert paused.json()["paused"] == "maintenance"
    job = (await http.post("/v1/jobs", json={"prompt": "Well?"})).json()
    assert "worker" in (await http.get(f"/v1/jobs/{job['id']}?waits_for=true")).json()["waits_for"]
    assert (await http.post("/v1/endpoints/emulator/resume")).json()["paused"] is None
    assert (await http.post("/v1/endpoints/emulator/pause")).json()["paused"] == ""
    assert (await http.get("/v1/endpoints/emulator")).json()["paused"] == ""
    for refused in (await http.get("/v1/endpoints/other"), await http.post("/v1/endpoints/other/pause")):
        assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM)


async def test_callbacks_are_listed_without_what_is_secret(http):
    url = "https://example.com/ended?token=t0k3n"
    job = (await http.post("/v1/jobs", json={"prompt": "Well?", "callback_url": url})).json()
    await http.post(f"/v1/jobs/{job['id']}/cancel")
    listed = await http.get("/v1/callbacks", params={"state": "pending"})
    [callback] = listed.json()["data"]
    assert (callback["subject"], callback["event"]) == (job["id"], "job.cancelled")
    assert callback["url"] == "https://example.com/ended"
    assert (await http.get("/v1/callbacks", params={"state": "dead"})).json()["data"] == []


async def test_only_operators_see_endpoints_and_callbacks(caller):
    shop = caller("shop")
    for refused in (
        await shop.get("/v1/endpoints"),
        await shop.get("/v1/endpoints/emulator"),
        await shop.post("/v1/endpoints/emulator/pause"),
        await shop.post("/v1/endpoints/emulator/resume"),
        await shop.get("/v1/callbacks"),
    ):
        assert (refused.status_code, refused.headers["content-type"]) == (403, PROBLEM)


async def test_the_page_of_routes_loads_nothing_and_lists_each(http):
    page = await http.get("/docs")
    assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "<script" not in page.text
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert "/v1/jobs/{job_id}/events" in paths
    for path in paths:
        assert path in page.text


async def test_every_route_documents_its_replies_and_its_key(http):
    schema = (await http.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["API key"]["scheme"] == "bearer"
    for path, methods in schema["paths"].items():
        for route in methods.values():
            assert {"401", "403", "429", "503"} <= set(route["responses"])
            assert ("security" in route) == (path.startswith("/v1/") or path == "/metrics"), path


ROUTES = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/a"),
    ("GET", "/v1/jobs/a/events"),
    ("GET", "/v1/jobs/a/artifacts/b"),
    ("POST", "/v1/jobs/a/cancel"),
    ("POST", "/v1/jobs/a/redrive"),
    ("GET", "/v1/job-batches"),
    ("GET", "/v1/job-batches/a"),
    ("GET", "/v1/job-batches/a/events"),
    ("POST", "/v1/job-batches/a/cancel"),
    ("GET", "/v1/endpoints"),
    ("POST", "/v1/endpoints/emulator/pause"),
    ("GET", "/v1/callbacks"),
]


async def test_without_redis_every_route_says_so_and_names_no_host(gateway_of, make_settings):
    away = make_settings("http://127.0.0.1:9/v1", redis_url="redis://127.0.0.1:9/0")
    for with_keys in (True, False):
        async with httpx.AsyncClient(base_url=gateway_of(away, open_without_keys=not with_keys)) as http:
            headers = {"Authorization": "Bearer tm_aaaaaaaaaaaa_" + "A" * 43} if with_keys else {}
            for method, path in ROUTES:
                body = {"prompt": "Well?"} if path == "/v1/jobs" and method == "POST" else None
                refused = await http.request(method, path, json=body, headers=headers)
                assert (refused.status_code, refused.headers.get("retry-after")) == (503, "5"), path
                assert refused.headers["content-type"] == PROBLEM
                assert "127.0.0.1" not in refused.text
