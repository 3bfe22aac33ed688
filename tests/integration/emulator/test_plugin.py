"""DaVinci's plugin API, and its whole documented flow."""

import json
from collections.abc import Iterator

import httpx
import pytest

from threadmill_emulator.http.routes import plugin
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0)

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    server.emulator.reset()
    with httpx.Client(base_url=f"{server.url}/api/assts/v1", headers=HEADERS) as http:
        yield http


@pytest.fixture
def query(http: httpx.Client) -> dict[str, str]:
    return {"tid": http.post("/threads", json={}).json()["id"], "aid": "asst_emulator", "pid": "SEARCH"}


def test_search_answers_with_text_made_of_its_arguments(http: httpx.Client, query: dict[str, str]):
    arguments = {"query": {"q": "herons 蒼鷺", "mkt": "zh-TW"}, "topk": "3"}
    response = http.post("/pluginapi", params=query, json=arguments)
    assert response.headers["content-type"].startswith("text/plain")
    assert "search results for: herons 蒼鷺 zh-TW 3" in response.text
    assert json.dumps(arguments, ensure_ascii=False) in response.text
    other = http.post("/pluginapi", params=query, json={"query": {"q": "storks"}})
    assert other.text != response.text


def test_the_beta_header_is_not_needed_but_the_key_is(server: Running, query: dict[str, str]):
    url = f"{server.url}/api/assts/v1/pluginapi"
    assert httpx.post(url, params=query, json={}, headers={"Authorization": "Bearer k"}).status_code == 200
    assert httpx.post(url, params=query, json={}).status_code == 401


def test_functions_with_a_character(http: httpx.Client, query: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    def call(function: str) -> httpx.Response:
        return http.post("/pluginapi", params={**query, "pid": function}, json={"a": 1})

    assert len(call("BIG").text) == 20_000
    assert call("FAIL").status_code == 500
    assert call("JSON").json() == {"function": "JSON", "arguments": {"a": 1}}
    assert call("OTHER").text == 'OTHER was called with {"a": 1}.'
    monkeypatch.setattr(plugin, "SLOW_S", 0.01)
    assert call("SLOW").text == 'SLOW was called with {"a": 1}.'


def test_what_is_refused(http: httpx.Client, query: dict[str, str]):
    for name in query:
        params = {key: value for key, value in query.items() if key != name}
        response = http.post("/pluginapi", params=params, json={})
        assert response.status_code == 400
        assert response.json()["error"]["message"] == f"Missing required parameter: '{name}'."
    assert http.post("/pluginapi", params=query, content=b"{not json").status_code == 400
    assert http.post("/pluginapi", params=query, json=["x"]).status_code == 400
    assert http.post("/pluginapi", params={**query, "tid": "thread_x"}, json={}).status_code == 404
    assert http.post("/pluginapi", params={**query, "aid": "asst_x"}, json={}).status_code == 404


def test_the_documented_flow(http: httpx.Client):
    thread = f"/threads/{http.post('/threads', json={}).json()['id']}"
    http.post(
        f"{thread}/messages", json={"role": "user", "content": "[[scenario=tools]]中國在 2024 巴黎奧運的表現如何?"}
    )
    asked = {"assistant_id": "asst_emulator", "additional_instructions": "\nThe current time is: 2026-11-20"}
    run = f"{thread}/runs/{http.post(f'{thread}/runs', json=asked).json()['id']}"
    calls = http.get(run).json()["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = []
    for call in calls:
        query = {"tid": thread.split("/")[-1], "aid": "asst_emulator", "pid": call["function"]["name"]}
        response = http.post("/pluginapi", params=query, json=json.loads(call["function"]["arguments"]))
        outputs.append({"tool_call_id": call["id"], "output": response.text[:8000]})
    assert http.post(f"{run}/submit_tool_outputs", json={"tool_outputs": outputs}).status_code == 200
    assert http.get(run).json()["status"] == "completed"
    newest = http.get(f"{thread}/messages").json()["data"][0]
    assert "巴黎奧運" in newest["content"][0]["text"]["value"]
    assert http.delete(thread).json()["deleted"] is True
