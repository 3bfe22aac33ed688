"""The span of an HTTP call: few names, and no secret."""

import pytest

from threadmill.secrets.redaction import REDACTOR
from threadmill_worker.tracing.http_calls import described


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/threads/thread_abc123XYZ/runs/run_00000001", "/v1/threads/{id}/runs/{id}"),
        ("/v1/responses/resp_0a1b2c3d4e5f", "/v1/responses/{id}"),
        ("/v1/vector_stores/vs_68a0f1/files", "/v1/vector_stores/{id}/files"),
        ("/v1/files/0b7fce0c-4c40-4b07-8f7c-2f8b3ac0f0d1/content", "/v1/files/{id}/content"),
        ("/v1/threads/thread_1/runs/run_2/submit_tool_outputs", "/v1/threads/{id}/runs/{id}/submit_tool_outputs"),
        ("/api/assts/v1/pluginapi", "/api/assts/v1/pluginapi"),
    ],
)
def test_ids_are_no_part_of_the_name(path, template):
    name, attributes = described("POST", f"https://api.example.com{path}?api-version=1")
    assert name == f"POST {template}"
    assert attributes == {
        "http.request.method": "POST",
        "server.address": "api.example.com",
        "server.port": 443,
        "url.full": f"https://api.example.com{path}?api-version=1",
        "url.template": template,
    }


def test_what_a_model_wrote_is_no_part_of_the_span():
    url = "https://shop.example/items/rye-bread?note=fresh"
    name, attributes = described("GET", url, "https://shop.example/items/{item}?unit=kg")
    assert name == "GET /items/{item}"
    assert attributes["url.template"] == "/items/{item}"
    assert "url.full" not in attributes
    assert "rye" not in str(attributes)


def test_the_url_holds_neither_credentials_nor_a_registered_secret():
    REDACTOR.register("s3cret-s3cret")
    _, attributes = described("GET", "http://user:password@127.0.0.1:8080/weather?token=s3cret-s3cret")
    assert attributes["url.full"] == "http://127.0.0.1:8080/weather?token=[key]"
    assert attributes["server.port"] == 8080
