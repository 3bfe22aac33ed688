"""Requests that no SDK sends are refused, and never fail the gateway."""

import pytest

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", rb'{"model": "emulator", "input": "Well?", "a\ud800": 1}'),
        ("/v1/responses", rb'{"model": "emulator", "input": "Well?", "previous_response_id": "resp_\ud800"}'),
    ],
)
async def test_a_refusal_can_quote_half_a_character(http, path, body):
    refused = await http.post(path, content=body, headers=JSON)
    assert refused.status_code in (400, 422)
    assert "\\ud800" in refused.text


async def test_a_lifetime_of_too_many_digits_is_refused(http):
    fields = {"purpose": "user_data", "expires_after[seconds]": "9" * 5000}
    refused = await http.post("/v1/files", data=fields, files={"file": ("a.txt", b"a")})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "expires_after.seconds")


async def test_the_content_of_a_file_is_documented_as_binary(http):
    routes = (await http.get("/openapi.json")).json()["paths"]
    assert "application/octet-stream" in routes["/v1/files/{file_id}/content"]["get"]["responses"]["200"]["content"]


@pytest.mark.parametrize(
    "field",
    [
        r'"model": "\ud800"',
        r'"response_format": {"a": "\udc00"}',
        '"response_format": ' + '{"a": ' * 200 + "1" + "}" * 200,
        '"truncation": {"a": NaN}',
        '"tools": [{"a": 1e400}]',
    ],
)
async def test_what_could_not_be_stored_is_refused(http, field):
    content = f'{{"prompt": "Well?", {field}}}'
    refused = await http.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert (await http.get("/v1/jobs")).json()["data"] == []


async def test_a_method_that_a_path_lacks_is_answered_with_those_that_it_has(http):
    refused = await http.options("/v1/jobs")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("moment", ["0.5", "1782885600", "2026-07-01T06:00:00", "2026-07-01"])
async def test_a_time_has_a_zone_and_is_no_number(http, moment):
    assert (await http.get("/v1/jobs", params={"since": moment})).status_code == 422
