"""The fast server of scripts/bench: what it says must suit the SDK, or the benchmark measures errors."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from threadmill_cli.local.processes import Process

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[2] / "scripts"
LISTENING = re.compile(r"listening on (http://[\d.:]+)")


@pytest.fixture
def server_url(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    server = Process("server", [sys.executable, "-m", "speed.upstream", "--port", "0"], tmp_path / "server.log", {})
    try:
        server.wait_until(lambda: LISTENING.search(server.log()) is not None)
        yield LISTENING.findall(server.log())[0]
    finally:
        server.kill()


@pytest.mark.parametrize(("wire", "calls"), [("assistants", 5), ("responses", 3), ("chat", 1)])
def test_the_script_has_an_answer_for_each_prompt(server_url, wire, calls):
    prompts = [f"[[run_s=0]] {number}" for number in range(10)]

    done = subprocess.run(
        [sys.executable, "-m", "speed.script", f"{server_url}/v1", wire, "5"],
        input=json.dumps(prompts) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    answers = json.loads(done.stdout)
    assert len(answers) == 10
    assert all(0 <= late_s < 60 for _, late_s in answers)
    counted = httpx.get(f"{server_url}/_stats").json()["calls"]
    assert sum(counted.values()) == 10 * calls


def test_a_run_takes_as_long_as_its_prompt_says(server_url):
    with httpx.Client(base_url=f"{server_url}/v1") as client:
        slow, fast = (
            client.post("/responses", json={"input": f"[[run_s={run_s}]] x", "metadata": {"tag": "t"}}).json()
            for run_s in (600, 0)
        )
        slow, fast = (client.get(f"/responses/{each['id']}").json() for each in (slow, fast))

    assert (slow["status"], fast["status"]) == ("in_progress", "completed")
    assert slow["metadata"] == {"tag": "t"}


def test_a_completion_is_answered_when_its_run_has_ended(server_url):
    asked = time.time()
    prompt = {"messages": [{"role": "user", "content": "[[run_s=0.3]] x"}]}
    with httpx.Client(base_url=f"{server_url}/v1") as client:
        reply = client.post("/chat/completions", json=prompt).json()

    assert reply["choices"][0]["message"]["content"].startswith("ended_at=")
    assert time.time() - asked >= 0.3


def test_the_server_knows_neither_other_routes_nor_deleted_objects(server_url):
    with httpx.Client(base_url=f"{server_url}/v1") as client:
        thread_id = client.post("/threads", json={"messages": []}).json()["id"]
        assert client.delete(f"/threads/{thread_id}").json()["deleted"]

        assert client.delete(f"/threads/{thread_id}").status_code == 404
        assert "no route GET /v1/models" in client.get("/models").json()["error"]["message"]
