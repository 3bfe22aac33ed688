"""The command `python -m threadmill_emulator`, as a process."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

pytestmark = pytest.mark.integration

HEADERS = {"Authorization": "Bearer sk-1", "OpenAI-Beta": "assistants=v2"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "threadmill_emulator", *arguments]


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its base URL; ended, if the test has not done so."""
    process = subprocess.Popen(
        command("--port", "0", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"threadmill emulator listening on (http://127\.0\.0\.1:\d+/v1)\n", line)
            assert found, line
            yield process, found[1]
        finally:
            process.kill()


def test_options_reach_the_server():
    arguments = (
        "--api-key",
        "sk-1",
        "--run-s",
        "30",
        "--poll-after-ms",
        "70",
        "--data-urls",
        "no",
        "--latency-ms",
        "30",
        "--index-s",
        "60",
    )
    with started(*arguments) as (_, url), httpx.Client(base_url=url, headers=HEADERS) as http:
        assert httpx.get(f"{url}/models", headers={"Authorization": "Bearer other"}).status_code == 401
        began = time.monotonic()
        run = http.post("/threads/runs", json={"assistant_id": "asst_echo"}).json()
        assert time.monotonic() - began >= 0.03
        seen = http.get(f"/threads/{run['thread_id']}/runs/{run['id']}")
        assert seen.json()["status"] == "queued"
        assert seen.headers["openai-poll-after-ms"] == "70"
        file = http.post("/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"}).json()
        assert http.post("/vector_stores", json={"file_ids": [file["id"]]}).json()["status"] == "in_progress"
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        assert http.post("/threads", json={"messages": [{"role": "user", "content": [image]}]}).status_code == 400


def test_faults_may_be_given_at_the_start():
    with started("--fault", "error_503=1", "--fault", "times=1", "--fault", "only=models.list") as (_, url):
        assert [httpx.get(f"{url}/models", headers=HEADERS).status_code for _ in range(2)] == [503, 200]


def test_limits_may_be_given_at_the_start():
    arguments = ("--requests-per-minute", "60", "--burst-s", "2", "--rate-headers", "none", "--no-retry-after")
    asked = {"model": "m", "input": "hi", "background": True}
    with started(*arguments) as (_, url):
        replies = [httpx.post(f"{url}/responses", headers=HEADERS, json=asked) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert not any("rate" in name or "retry" in name for name in replies[-1].headers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_at_once_though_connections_are_open(number: signal.Signals):
    with started() as (process, url), httpx.Client(base_url=url, headers=HEADERS) as http:
        assert http.post("/threads").status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        left = "0 runs, 1 threads left behind; 0 responses, 0 left behind; 0 chat completions"
        assert err == f"threadmill emulator stopped: {left}\n"


def test_a_request_under_way_does_not_hold_it_up():
    with started("--fault", "slow=1", "--fault", "slow_s=60", "--quiet") as (process, url):
        port = int(url.split(":")[-1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n")
            while httpx.get(f"http://127.0.0.1:{port}/_faults").json()["injected"] == {}:
                pass
            process.terminate()
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_capabilities_may_be_left_out():
    lacking = "vector_stores,create_and_run,files,streaming,cancel,empty_threads"
    with started("--without", lacking, "--run-s", "0") as (_, url), httpx.Client(base_url=url, headers=HEADERS) as http:
        user = {"messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/threads").json()["error"]["param"] == "messages"
        thread = f"/threads/{http.post('/threads', json=user).json()['id']}"
        run = {"assistant_id": "asst_echo"}
        refused = http.post(f"{thread}/runs", json=run | {"stream": True})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
        runs = f"{thread}/runs/{http.post(f'{thread}/runs', json=run).json()['id']}"
        for path in ("/vector_stores", "/threads/runs", "/files", f"{runs}/cancel"):
            lacks = http.post(path, json=run)
            assert lacks.status_code == 404
            assert lacks.json()["error"]["message"] == f"Invalid URL (POST /v1{path})"
        search = user | {"tool_resources": {"file_search": {"vector_stores": [{}]}}}
        assert http.post("/threads", json=search).json()["error"]["code"] == "unknown_parameter"
        assert http.get(runs).json()["status"] == "completed"


def test_a_busy_port_is_one_clear_line():
    with started() as (_, url):
        port = url.split(":")[-1].split("/")[0]
        second = subprocess.run(command("--port", port), capture_output=True, text=True, timeout=10, check=False)
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr == f"threadmill emulator: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_help_and_wrong_usage():
    shown = subprocess.run(command("--help"), capture_output=True, text=True, timeout=10, check=True)
    assert "examples:" in shown.stdout
    assert "parallel_tools" in shown.stdout
    for fault in ("error_500=2", "nope=1", "error_500", "only=nope"):
        wrong = subprocess.run(command("--fault", fault), capture_output=True, text=True, timeout=10, check=False)
        assert wrong.returncode == 2
        assert "--fault" in wrong.stderr.splitlines()[-1]
    wrong = subprocess.run(command("--burst-s", "0"), capture_output=True, text=True, timeout=10, check=False)
    assert (wrong.returncode, "limits: Invalid 'burst_s'" in wrong.stderr) == (2, True)
    wrong = subprocess.run(command("--without", "nope"), capture_output=True, text=True, timeout=10, check=False)
    assert (wrong.returncode, "known: vector_stores, create_and_run" in wrong.stderr) == (2, True)
