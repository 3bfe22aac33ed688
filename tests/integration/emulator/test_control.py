"""Statistics and the reset."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0)

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    server.emulator.reset()
    with httpx.Client(base_url=server.url, headers=HEADERS) as http:
        yield http


def start(http: httpx.Client, text: str, **metadata: str) -> dict[str, str]:
    thread = {"messages": [{"role": "user", "content": text}]}
    body = {"assistant_id": "asst_emulator", "thread": thread, "metadata": metadata}
    return http.post("/v1/threads/runs", json=body).json()


def test_statistics_count_what_happened_even_when_nobody_looked(http: httpx.Client):
    first = start(http, "x", job="a")
    start(http, "x", job="a")
    start(http, "x", job="b")
    start(http, "[[scenario=failed]]x", job="c")
    live = start(http, "[[scenario=stuck]]x", job="d")
    http.get(f"/v1/threads/{first['thread_id']}")
    http.get("/v1/threads/thread_x")
    http.delete(f"/v1/threads/{first['thread_id']}")
    stats = http.get("/_stats?by=job").json()
    assert stats["threads"] == {"alive": 4, "created": 5}
    assert stats["runs"]["created"] == 5
    assert stats["runs"]["by_status"] == {"completed": 3, "failed": 1, "in_progress": 1}
    assert stats["completed_by"] == {"a": 2, "b": 1}
    assert stats["calls"] == {"threads.create_and_run": 5, "threads.retrieve": 2, "threads.delete": 1}
    assert stats["refused"] == {"404": 1}
    http.delete(f"/v1/threads/{live['thread_id']}")
    stats = http.get("/_stats?ids=1").json()
    assert stats["runs"]["by_status"] == {"completed": 3, "failed": 1, "deleted": 1}
    assert len(stats["threads"]["ids"]) == 3


def test_the_peak_counts_runs_alive_at_one_time(http: httpx.Client):
    for _ in range(3):
        start(http, "x")
    assert http.get("/_stats").json()["runs"]["peak"] == 1
    for _ in range(3):
        start(http, "[[run_s=60]]x")
    runs = http.get("/_stats").json()["runs"]
    assert (runs["peak"], runs["active"]) == (3, 3)


def test_tool_outputs_plugin_calls_and_files_are_counted(http: httpx.Client):
    run = start(http, "[[scenario=tools]]x")
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    (call,) = http.get(path).json()["required_action"]["submit_tool_outputs"]["tool_calls"]
    query = {"tid": run["thread_id"], "aid": "asst_emulator", "pid": "SEARCH"}
    http.post("/v1/pluginapi", params=query, json={})
    http.post(f"{path}/submit_tool_outputs", json={"tool_outputs": [{"tool_call_id": call["id"], "output": "x"}]})
    http.post("/v1/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    stats = http.get("/_stats?ids=1").json()
    assert stats["tool_outputs"] == {
        "submitted": 1,
        "call_ids": 1,
        "most_for_one_call_id": 1,
        "by_call_id": {call["id"]: 1},
    }
    assert stats["plugin_calls"] == {"SEARCH": 1}
    assert stats["files"]["alive"] == len(stats["files"]["ids"]) == 1


def test_reset_clears_everything(http: httpx.Client):
    start(http, "x")
    http.post("/_faults", json={"error_500": 1})
    assert http.post("/_reset").json() == {"reset": True}
    stats = http.get("/_stats").json()
    assert (stats["threads"]["created"], stats["runs"]["created"], stats["calls"]) == (0, 0, {})
    assert http.get("/v1/models").status_code == 200
    assert http.get("/v1/assistants/asst_echo").status_code == 200


def test_many_connections_at_once(server: Running, http: httpx.Client):
    def job(_: int) -> str:
        with httpx.Client(base_url=server.url, headers=HEADERS) as http:
            run = start(http, "[[scenario=echo]]x")
            return http.get(f"/v1/threads/{run['thread_id']}/runs/{run['id']}").json()["status"]

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(job, range(64))) == {"completed"}
    assert http.get("/_stats").json()["runs"]["created"] == 64
