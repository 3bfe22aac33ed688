"""All errors on OpenAI's paths have OpenAI's form, whoever raises them; all others are problems."""

import httpx2
import pytest
from tests.served import served

from threadmill_gateway.app import create_app

pytestmark = pytest.mark.integration

FIELDS = {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/responses", b"{", 400),
        ("POST", "/responses", b"", 400),
        ("POST", "/responses", b"[]", 400),
        ("POST", "/responses", b'{"model": "nowhere/x", "input": 1}', 400),
        ("POST", "/chat/completions", b'"x"', 400),
        ("GET", "/responses/resp_0", None, 404),
        ("GET", "/responses/nothing", None, 404),
        ("GET", "/responses/resp_0?stream=perhaps", None, 400),
        ("GET", "/responses/resp_0?starting_after=-1", None, 400),
        ("GET", "/responses/resp_0?include[]=x", None, 400),
        ("DELETE", "/responses/resp_0", None, 404),
        ("POST", "/responses/resp_0/cancel", None, 404),
        ("GET", "/responses/resp_0/input_items", None, 404),
        ("GET", "/responses/resp_0/nothing", None, 404),
        ("PUT", "/responses", b"{}", 405),
        ("GET", "/chat/nothing", None, 404),
    ],
)
def test_an_error_has_openais_form(http, method, path, body, status):
    refused = http.request(method, path, content=body, headers={"Content-Type": "application/json"})

    assert refused.status_code == status
    assert refused.json().keys() == {"error"}
    assert refused.json()["error"].keys() == FIELDS


def test_a_body_that_is_too_large_has_openais_form(site, http):
    refused = http.post("/responses", content=b"x" * 10_000_001)

    assert refused.status_code == 413
    assert refused.json()["error"].keys() == FIELDS
    native = http.post(f"{site.url}/jobs", content=b"x" * 10_000_001)
    assert native.headers["content-type"] == "application/problem+json"


def test_redis_that_is_away_has_openais_form(make_settings):
    away = make_settings("http://127.0.0.1:9/v1", redis_url="redis://127.0.0.1:9/0")
    with served(create_app(away)) as url:
        refused = httpx2.post(f"{url}/v1/responses", json={"model": "emulator", "input": "x"}, timeout=60)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["error"]["code"] == "service_unavailable"
    assert "127.0.0.1" not in refused.text


def test_a_stream_has_heartbeats(http):
    body = {"model": "responses", "input": "[[scenario=echo run_s=1.5]] Hello", "stream": True}
    with http.stream("POST", "/responses", json=body) as reply:
        text = reply.read().decode()

    assert ": heartbeat\n\n" in text
    assert text.startswith("event: response.created\ndata: {")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-cache"


def test_every_route_declares_openais_errors(site):
    paths = httpx2.get(f"{site.url.removesuffix('/v1')}/openapi.json").json()["paths"]
    ours = [route for path, routes in paths.items() if "/v1/responses" in path for route in routes.values()]

    assert ours
    for route in ours:
        schema = route["responses"]["400"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("ErrorReply")
