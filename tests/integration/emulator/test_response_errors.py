"""Every refusal of responses, conversations and batches, in the words clients of OpenAI know."""

from typing import Any

import httpx
import pytest

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0)

HEADERS = {"Authorization": "Bearer k"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
RESPONSE = {"model": "m", "input": "hi"}


def refused(response: httpx.Response, status: int = 400) -> tuple[str, str | None, str | None]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["message"], error["param"], error["code"]


def user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": list(content)}]}


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (
            {"input": None},
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
            "input",
            "missing_required_parameter",
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
            "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            {"input": [{"role": "user", "content": "x", "bogus": 1}]},
            "Unknown parameter: 'input[0].bogus'.",
            "input[0].bogus",
            "unknown_parameter",
        ),
        (
            user({"type": "input_image", "image_url": "data:image/png;base64,%"}),
            "Invalid 'input[0].content[0].image_url'. Expected a valid URL, but got a value with an invalid format.",
            "input[0].content[0].image_url",
            "invalid_value",
        ),
        (
            user({"type": "input_image"}),
            "Invalid 'input[0].content[0]': exactly one of image_url, file_id is required.",
            "input[0].content[0]",
            "invalid_value",
        ),
        (
            user({"type": "input_image", "file_id": "file-x"}),
            "No such File object: file-x",
            "input[0].content[0].file_id",
            "invalid_value",
        ),
        (
            user({"type": "input_file", "file_data": "aGk=", "filename": "a.txt"}),
            "Invalid 'input[0].content[0].file_data': expected a base64-encoded data URL with a MIME type.",
            "input[0].content[0].file_data",
            "invalid_value",
        ),
        (
            user({"type": "input_file", "file_data": "data:text/plain;base64,aGk="}),
            "Invalid 'input[0].content[0]': 'file_data' needs a 'filename'.",
            "input[0].content[0]",
            "invalid_value",
        ),
        (
            {"previous_response_id": "resp_x"},
            "Previous response with id 'resp_x' not found.",
            "previous_response_id",
            "previous_response_not_found",
        ),
        (
            {"previous_response_id": "resp_x", "conversation": "conv_x"},
            "Mutually exclusive parameters. Ensure you are only providing one of: "
            "'previous_response_id' or 'conversation'.",
            None,
            "mutually_exclusive_parameters",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "call_x", "output": "x"}]},
            "No tool call found for function call output with call_id call_x.",
            "input",
            None,
        ),
        (
            {"tools": [{"type": "file_search", "vector_store_ids": ["vs_x"]}]},
            "No vector store found with id 'vs_x'.",
            "tools[0].vector_store_ids",
            "invalid_value",
        ),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
            "Tool choice 'function' not found in 'tools' parameter.",
            "tool_choice",
            None,
        ),
        (
            {"tools": [{**FUNCTION, "strict": True}]},
            "Invalid schema for function 'f': In context=(), 'additionalProperties' is required to be supplied and to "
            "be false.",
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
        (
            {"text": {"format": {"type": "json_object"}}},
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            "input",
            None,
        ),
    ],
)
def test_a_wrong_request_for_a_response(
    http: httpx.Client, server: Running, body: dict[str, Any], message: str, param: str | None, code: str | None
):
    assert refused(http.post("/responses", json=RESPONSE | body)) == (message, param, code)
    assert server.emulator.state.responses.all() == []


def test_what_does_not_exist(http: httpx.Client):
    for path, message in {
        "/responses/resp_x": "Response with id 'resp_x' not found.",
        "/conversations/conv_x": "Conversation with id 'conv_x' not found.",
        "/containers/cntr_x/files/cfile_x": "Container with id 'cntr_x' not found.",
        "/batches/batch_x": "No batch found with id 'batch_x'.",
    }.items():
        assert refused(http.get(path), 404) == (message, None, None)
    body = {**RESPONSE, "conversation": "conv_x"}
    assert refused(http.post("/responses", json=body), 404)[0] == "Conversation with id 'conv_x' not found."


def test_a_response_is_not_continued_before_it_ended(http: httpx.Client):
    id = http.post("/responses", json={**RESPONSE, "model": "emulator-stuck", "background": True}).json()["id"]
    message, param, _ = refused(http.post("/responses", json={**RESPONSE, "previous_response_id": id}))
    assert (message, param) == (f"Previous response with id '{id}' is still 'in_progress'.", "previous_response_id")


def test_at_most_twenty_items_at_a_time(http: httpx.Client):
    items = [{"role": "user", "content": "x"}] * 21
    assert refused(http.post("/conversations", json={"items": items}))[2] == "array_above_max_length"


def test_an_unknown_include_and_a_stream_that_never_was(http: httpx.Client):
    id = http.post("/responses", json=RESPONSE).json()["id"]
    assert refused(http.get(f"/responses/{id}?include[]=x"))[1:] == ("include[0]", "invalid_value")
    assert refused(http.get(f"/responses/{id}?stream=true"))[1] == "stream"


def test_what_a_batch_refuses(http: httpx.Client):
    def upload(purpose: str) -> str:
        return http.post("/files", files={"file": ("a.jsonl", b"{}")}, data={"purpose": purpose}).json()["id"]

    body = {"input_file_id": upload("batch"), "endpoint": "/v1/responses", "completion_window": "24h"}
    wrong = {"endpoint": "/v1/embeddings", "completion_window": "1h", "input_file_id": "file-x"}
    for field, value in wrong.items():
        assert refused(http.post("/batches", json=body | {field: value}))[1] == field
    message = refused(http.post("/batches", json=body | {"input_file_id": upload("user_data")}))[0]
    assert message.endswith("its purpose must be 'batch'.")


@pytest.mark.parametrize(
    ("lacking", "method", "path"),
    [
        ("assistants", "POST", "/threads"),
        ("assistants", "POST", "/threads/runs"),
        ("assistants", "GET", "/assistants"),
        ("responses", "POST", "/responses"),
        ("conversations", "POST", "/conversations"),
        ("batches", "GET", "/batches"),
    ],
)
def test_a_server_without_it(lacking: str, method: str, path: str):
    with running(Options(without=frozenset({lacking}))) as server:
        answer = httpx.request(method, f"{server.base_url}{path}", headers=HEADERS, json={})
        assert refused(answer, 404)[0] == f"Invalid URL ({method} /v1{path})"


def test_a_server_without_background_conversations_or_streams():
    with running(Options(run_s=0, without=frozenset({"background", "conversations", "streaming"}))) as server:
        for body, param in (({"background": True}, "background"), ({"stream": True}, "stream")):
            answer = httpx.post(f"{server.base_url}/responses", headers=HEADERS, json=RESPONSE | body)
            assert refused(answer)[1] == param
        answer = httpx.post(f"{server.base_url}/responses", headers=HEADERS, json={**RESPONSE, "conversation": "c"})
        assert refused(answer)[0] == "Unknown parameter: 'conversation'."
        assert httpx.post(f"{server.base_url}/responses", headers=HEADERS, json=RESPONSE).status_code == 200
