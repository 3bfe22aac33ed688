"""Every refusal of the emulator, in the words clients of the public servers know."""

from typing import Any

import httpx
import pytest

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=30, data_urls=False)

USER = {"role": "user", "content": "hi"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def thread(http: httpx.Client, *messages: dict[str, Any]) -> str:
    return http.post("/threads", json={"messages": list(messages)}).json()["id"]


def run(http: httpx.Client, thread_id: str, assistant: str = "asst_emulator", **more: Any) -> httpx.Response:
    return http.post(f"/threads/{thread_id}/runs", json={"assistant_id": assistant, **more})


def test_a_live_run_locks_its_thread(http: httpx.Client):
    id = thread(http, USER)
    active = run(http, id).json()["id"]
    error = refused(http.post(f"/threads/{id}/messages", json=USER), 400)
    assert error == {
        "message": f"Can't add messages to {id} while a run {active} is active.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert refused(run(http, id), 400)["message"] == f"Thread {id} already has an active run {active}."


@pytest.mark.parametrize("status", ["requires_action", "cancelling"])
def test_the_lock_holds_in_every_status_that_is_not_terminal(http: httpx.Client, status: str):
    id = thread(http, {"role": "user", "content": "[[scenario=tools run_s=0 lock=yes]]"})
    active = run(http, id).json()["id"]
    if status == "cancelling":
        http.post(f"/threads/{id}/runs/{active}/cancel")
    assert http.get(f"/threads/{id}/runs/{active}").json()["status"] == status
    assert "active" in refused(http.post(f"/threads/{id}/messages", json=USER), 400)["message"]
    assert "active" in refused(run(http, id), 400)["message"]


def test_what_does_not_exist(http: httpx.Client):
    id = thread(http)
    for path, message in {
        "/threads/thread_x": "No thread found with id 'thread_x'.",
        "/threads/thread_x/messages": "No thread found with id 'thread_x'.",
        f"/threads/{id}/runs/run_x": "No run found with id 'run_x'.",
        "/assistants/asst_x": "No assistant found with id 'asst_x'.",
        "/files/file-x": "No such File object: file-x",
    }.items():
        error = refused(http.get(path), 404)
        assert (error["message"], error["type"]) == (message, "invalid_request_error")
    assert refused(run(http, id, "asst_x"), 404)["message"] == "No assistant found with id 'asst_x'."
    assert http.delete(f"/threads/{id}").status_code == 200
    assert refused(http.delete(f"/threads/{id}"), 404)["message"] == f"No thread found with id '{id}'."


def test_a_refused_run_leaves_no_thread_behind(http: httpx.Client, server: Running):
    refused(http.post("/threads/runs", json={"assistant_id": "asst_x"}), 404)
    thread = {"messages": [{"role": "user", "content": "[[scenario=nope]]"}]}
    refused(http.post("/threads/runs", json={"assistant_id": "asst_echo", "thread": thread}), 400)
    assert server.emulator.state.threads == {}


def test_tool_outputs_at_the_wrong_time_or_for_the_wrong_calls(http: httpx.Client):
    id = thread(http, {"role": "user", "content": "[[scenario=parallel_tools run_s=0]]"})
    active = run(http, id).json()["id"]
    path = f"/threads/{id}/runs/{active}"
    action = http.get(path).json()["required_action"]["submit_tool_outputs"]
    calls = [call["id"] for call in action["tool_calls"]]

    def submit(*ids: str) -> httpx.Response:
        outputs = [{"tool_call_id": id, "output": "x"} for id in ids]
        return http.post(f"{path}/submit_tool_outputs", json={"tool_outputs": outputs})

    for wrong in ([calls[0]], [], ["call_x"], [*calls, "call_x"]):
        expected = f"Expected tool outputs for call_ids {calls}, got {wrong}"
        assert refused(submit(*wrong), 400)["message"] == expected
    assert submit(*calls).status_code == 200
    assert refused(submit(*calls), 400)["message"] == 'Runs in status "completed" do not accept tool outputs.'
    error = refused(http.post(f"{path}/cancel"), 400)
    assert error["message"] == "Cannot cancel run with status 'completed'."


def test_outputs_are_refused_while_a_run_is_queued_and_after_it_expired(http: httpx.Client):
    outputs = {"tool_outputs": [{"tool_call_id": "call_x", "output": "x"}]}
    for marker, status in {"scenario=stuck_queued": "queued", "scenario=expired run_s=0": "expired"}.items():
        id = thread(http, {"role": "user", "content": f"[[{marker}]]"})
        path = f"/threads/{id}/runs/{run(http, id).json()['id']}/submit_tool_outputs"
        expected = f'Runs in status "{status}" do not accept tool outputs.'
        assert refused(http.post(path, json=outputs), 400)["message"] == expected


def test_keys_and_the_beta_header():
    with running(Options(api_key="sk-right-and-long-enough")) as server, httpx.Client(base_url=server.base_url) as http:
        beta = {"OpenAI-Beta": "assistants=v2"}
        assert "You didn't provide an API key" in refused(http.post("/threads", headers=beta), 401)["message"]
        empty = {**beta, "Authorization": "Bearer"}
        assert "You didn't provide an API key" in refused(http.get("/models", headers=empty), 401)["message"]
        wrong = refused(http.get("/models", headers={"Authorization": "Bearer sk-wrong-key-1234"}), 401)
        assert wrong["message"] == "Incorrect API key provided: sk-w*********1234."
        assert wrong["code"] == "invalid_api_key"
        right = {"Authorization": "Bearer sk-right-and-long-enough"}
        assert http.get("/models", headers=right).status_code == 200
        assert http.get("/files", headers=right).status_code == 200
        for headers in (right, {**right, "OpenAI-Beta": "assistants=v1"}):
            error = refused(http.post("/threads", headers=headers), 400)
            assert error["code"] == "invalid_beta"
            assert error["message"] == (
                "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
                "setting the header 'OpenAI-Beta: assistants=v2'."
            )


def test_paths_and_methods(http: httpx.Client):
    error = refused(http.post("/foo"), 404)
    assert error["message"] == "Invalid URL (POST /v1/foo)"
    assert refused(http.post("/threads/"), 404)["message"] == "Invalid URL (POST /v1/threads/)"
    refused(http.put("/threads"), 405)


def test_bodies_that_are_no_json(http: httpx.Client):
    for body in (b"{", b"\xff\xfe", b"not json", b'{"metadata": NaN}', b'{"x": "\\ud800"}'):
        assert refused(http.post("/threads", content=body), 400)["message"].startswith(
            "We could not parse the JSON body of your request."
        )
    assert http.post("/threads").status_code == 200, "an empty body is an empty object"
    error = refused(http.post("/threads", content=b"[]"), 400)
    assert error["message"] == "Invalid type: expected an object, but got an array instead."


RUN = {"assistant_id": "asst_emulator"}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("path", "body", "param", "code", "message"),
    [
        (
            "/threads",
            {"messages": [{**USER, "foo": 1}]},
            "messages[0].foo",
            "unknown_parameter",
            "Unknown parameter: 'messages[0].foo'.",
        ),
        (
            "/threads/T/runs",
            {},
            "assistant_id",
            "missing_required_parameter",
            "Missing required parameter: 'assistant_id'.",
        ),
        (
            "/threads/T/messages",
            {"role": "user", "content": [{"text": "x"}]},
            "content[0].type",
            "missing_required_parameter",
            "Missing required parameter: 'content[0].type'.",
        ),
        (
            "/threads/T/messages",
            {"role": "system", "content": "x"},
            "role",
            "invalid_value",
            "Invalid value: 'system'. Supported values are: 'user' and 'assistant'.",
        ),
        (
            "/threads/T/messages",
            {"role": "user", "content": 3},
            "content",
            "invalid_type",
            "Invalid type for 'content': expected a string, but got an integer instead.",
        ),
        (
            "/threads/T/messages",
            {"role": "user", "content": "x" * 256_001},
            "content",
            "string_above_max_length",
            "Invalid 'content': string too long. Expected a string with maximum length 256000, "
            "but got a string with length 256001 instead.",
        ),
        (
            "/threads",
            {"messages": [USER] * 33},
            "messages",
            "array_above_max_length",
            "Invalid 'messages': array too long. Expected an array with maximum length 32, "
            "but got an array with length 33 instead.",
        ),
        (
            "/threads",
            {"metadata": {str(n): "x" for n in range(17)}},
            "metadata",
            "object_above_max_properties",
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
            "but got an object with 17 properties instead.",
        ),
        (
            "/threads",
            {"metadata": {"k": 1}},
            "metadata.k",
            "invalid_type",
            "Invalid type for 'metadata.k': expected a string, but got an integer instead.",
        ),
        (
            "/threads/T/runs",
            {**RUN, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": 1}}}]},
            "tools[0].function.parameters",
            "invalid_value",
            "Invalid 'tools[0].function.parameters': not a JSON schema that could be filled in.",
        ),
        (
            "/threads/T/runs",
            {**RUN, "response_format": {"type": "xml"}},
            "response_format.type",
            "invalid_value",
            "Invalid value: 'xml'. Supported values are: 'auto', 'text', 'json_object', and 'json_schema'.",
        ),
        (
            "/threads",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]},
            "messages[0].content[0].image_url.url",
            "invalid_value",
            "Invalid 'messages[0].content[0].image_url.url'. Expected a valid URL, "
            "but got a value with an invalid format.",
        ),
        (
            "/threads/T/messages",
            {**USER, "attachments": [{"file_id": "file-x", "tools": [{"type": "file_search"}]}]},
            "attachments[0].file_id",
            "invalid_value",
            "No such File object: file-x",
        ),
        (
            "/threads/T/runs",
            {
                **RUN,
                "additional_messages": [
                    {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "file-x"}}]}
                ],
            },
            "additional_messages[0].content[0].image_file.file_id",
            "invalid_value",
            "No such File object: file-x",
        ),
        (
            "/threads/T/runs",
            {**RUN, "additional_messages": [{"role": "user", "content": "[[scenario=nope]]"}]},
            None,
            "unknown_scenario",
            "The emulator has no scenario marker 'scenario=nope'.",
        ),
    ],
)
def test_invalid_bodies(http: httpx.Client, path: str, body: dict[str, Any], param: str, code: str, message: str):
    error = refused(http.post(path.replace("T", thread(http)), json=body), 400)
    assert (error["message"], error["param"], error["code"]) == (message, param, code)


def test_data_urls_are_for_davinci_or_by_option(http: httpx.Client, server: Running):
    body = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}
    id = thread(http)
    assert http.post(f"{server.url}/api/assts/v1/threads/{id}/messages", json=body).status_code == 200
    for url in ("data:image/png;base64,???", "data:text/plain;base64,aGk=", "ftp://example.com/a.png", "x"):
        body["content"][0]["image_url"]["url"] = url
        refused(http.post(f"{server.url}/api/assts/v1/threads/{id}/messages", json=body), 400)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_x", "before=msg_x"])
def test_invalid_list_queries(http: httpx.Client, query: str):
    error = refused(http.get(f"/threads/{thread(http)}/messages?{query}"), 400)
    assert error["param"] == query.partition("=")[0]


def test_invalid_uploads(http: httpx.Client):
    file = {"file": ("a.txt", b"a")}
    assert refused(http.post("/files", json={}), 400)["message"].endswith("multipart/form-data.")
    assert refused(http.post("/files", files=file), 400)["code"] == "missing_required_parameter"
    assert refused(http.post("/files", files=file, data={"purpose": "fun"}), 400)["code"] == "invalid_value"
    short = {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}
    assert refused(http.post("/files", files=file, data=short), 400)["param"] == "expires_after.seconds"
    only_fields = {"purpose": (None, "vision")}
    assert refused(http.post("/files", files=only_fields), 400)["param"] == "file"
    broken = {"content-type": "multipart/form-data; boundary=x"}
    refused(http.post("/files", content=b"nonsense", headers=broken), 400)
