"""Secrets with odd characters, in every place that may hold one, and every fault that may tell of them.

A real worker process knows them. None of them may be found in its log, in Redis, in a result, or in what a command
prints, whatever escaped or encoded it on the way.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest
import redis
from tests.forking.forked import run
from tests.integration.worker.test_secrets import everything
from tests.mcp_server import __file__ as MCP_SERVER
from tests.own_redis import own_redis

from threadmill import Client, JobState
from threadmill.queue import TASK, make_app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

#: In each secret: whatever is escaped around it, this stays as it is.
CORE = uuid.uuid4().hex

KEY = f"sk-\"odd'\\key<&%/+{CORE}1"
SECRETS = {
    "ENDPOINT_KEY": KEY,
    "TOOL_AUTH": f"Bearer t'o\"k\\en&{CORE}2",
    "MCP_SECRET": f"line 1 \"of'\n天\\{CORE}3\né",
    "OWN_TOKEN": f"wörd\"'\\{CORE}4",  # no setting names it
    "REDIS": f"p@ss/\"word'{CORE}5",
    "GATEWAY": f"g@te/\"way'{CORE}6",
}
TOOLS = ("asked", "raises", "returns", "demo")


def raises() -> str:
    raise RuntimeError(f"cannot log in: {dict(os.environ)!r}")


def returns() -> dict[str, str]:
    return dict(os.environ)


class Echo(BaseHTTPRequestHandler):
    """Repeats the headers it was sent, with a status from its path."""

    def do_GET(self) -> None:
        told = str(self.headers)
        message = json.dumps({"error": {"message": f"no: {told}", "code": self.headers.get("Authorization")}})
        body = message.encode()
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo():
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def guarded_redis(tmp_path):
    """One with a password."""
    password = SECRETS["REDIS"]
    quoted = password.replace('"', '\\"')
    with own_redis(tmp_path, f'requirepass "{quoted}"', password=password) as port:
        yield f"redis://:{quote(password, safe='')}@127.0.0.1:{port}/0"


@pytest.fixture
def settings(echo, guarded_redis, emulator, make_settings):
    hasty = {"kind": "assistants", "assistant": "asst_1", "unreachable_limit_s": 0.2, "max_reruns": 0}
    with_key = hasty | {"api_key_env": "ENDPOINT_KEY"}
    gateway = f"http://me:{quote(SECRETS['GATEWAY'], safe='')}@127.0.0.1:{free_port()}"
    settings = make_settings(
        emulator.base_url,
        {"api_key_env": "ENDPOINT_KEY"},
        redis_url=guarded_redis,
        tools={
            "raises": f"{__name__}:raises",
            "returns": f"{__name__}:returns",
            "asked": {
                "url": f"{echo}/500",
                "parameters": {"type": "object"},
                "headers_env": {"Authorization": "TOOL_AUTH"},
            },
        },
        mcp={"demo": {"command": [sys.executable, MCP_SERVER], "env": ["MCP_SECRET"], "tools": ["reveal"]}},
    )
    endpoints = {f"echo{status}": with_key | {"base_url": f"{echo}/{status}"} for status in (200, 401, 429, 500)}
    endpoints |= {"away": hasty | {"base_url": gateway}}
    return type(settings).model_validate(
        settings.model_dump() | {"endpoints": {**settings.model_dump()["endpoints"], **endpoints}}
    )


@pytest.fixture
def watched(guarded_redis):
    """All commands that Redis is sent, but for those that move messages, which their senders wrote."""
    commands: list[str] = []
    password = SECRETS["REDIS"].encode()
    with socket.create_connection(("127.0.0.1", urlsplit(guarded_redis).port)) as connection:
        connection.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\nMONITOR\r\n" % (len(password), password))

        def listen() -> None:
            with connection.makefile(errors="replace") as lines:
                commands.extend(line for line in lines if not re.search(r'"(LPUSH" "test-|HSET" "unacked")', line))

        thread = Thread(target=listen)
        thread.start()
        yield commands
        connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def leaks(text: str) -> list[str]:
    """What a text holds of a secret, be it half of it or Base64, with what stands before it."""
    core = CORE.encode()
    found = [CORE, CORE[:16], CORE[16:]]
    found += [base64.b64encode(b"\0" * shift + core)[4:-8].decode() for shift in range(3)]
    return [text[max(0, text.index(form) - 200) :][:300] for form in found if form in text]


def test_a_worker_tells_nobody(
    settings, start_worker, store_of, watched, run_cli, settings_as_environment, monkeypatch
):
    for name, value in SECRETS.items():
        if name not in ("REDIS", "GATEWAY"):
            monkeypatch.setenv(name, value)
    client = Client(settings)
    jobs = [{"prompt": "Well?", "endpoint": name, "timeout_s": 30} for name in settings.endpoints if name != "emulator"]
    jobs += [{"prompt": "[[scenario=tools]]Well?", "tools": [tool], "timeout_s": 30} for tool in TOOLS]
    worker = start_worker(settings, **SECRETS)
    ids = [handle.id for handle in client.enqueue_many(jobs)]
    foreign = make_app(settings).send_task(
        TASK,
        args=[{"prompt": f"[[scenario=echo]]{KEY} and {SECRETS['OWN_TOKEN']}", "stream": True}],
        queue=settings.queue,
    )
    results = [client.wait(job_id, timeout_s=60) for job_id in (*ids, foreign.id)]
    environment = settings_as_environment(settings)
    told = [
        run_cli(*command, **environment, **SECRETS)
        for command in (
            ["jobs", "--json"],
            ["jobs", "result", ids[0]],
            ["doctor", "--endpoint", "echo401"],
            ["tools", "--json"],
        )
    ]
    announced = [each.model_dump_json() for each in client.store.workers()]
    records = [client.get(job_id).model_dump_json() for job_id in (*ids, foreign.id)]
    worker.stop()

    assert [result.state for result in results[-5:]] == [JobState.SUCCEEDED] * 5, results[-2].failure
    assert [result.failure.kind for result in results[: len(results) - 5]].count("unauthorised") == 1
    assert "[key]" in results[-1].text
    assert results[-2].text.count("[key]")  # of the MCP server
    log = worker.log()
    assert any('"PUBLISH"' in command for command in watched), "events of Celery"
    assert f"MCP server {sys.executable}: the secret is" in log
    for text in (
        log,
        "".join(watched),
        everything(store_of(settings)),
        *announced,
        *records,
        *(each.stdout + each.stderr for each in told),
    ):
        assert text
        assert leaks(text) == []


@pytest.fixture
def store_of():
    return lambda settings: redis.Redis.from_url(settings.redis_url, decode_responses=True)


@pytest.mark.parametrize(
    "secret", [KEY, base64.b64encode(KEY.encode()).decode(), KEY[:40]], ids=["as it is", "Base64", "a part"]
)
def test_a_leak_would_be_found(secret):
    assert leaks(f"a text with {secret} in it")


def test_a_worker_does_not_start_with_a_key_that_cannot_be_sent(settings, settings_as_environment, tmp_path):
    variables = {**os.environ, **settings_as_environment(settings), **SECRETS, "ENDPOINT_KEY": f"sk-1\n{CORE}"}
    done = run([sys.executable, "-m", "threadmill_worker"], cwd=tmp_path, env=variables, input="", timeout=60)
    assert done.returncode == 2
    assert "threadmill: endpoint 'emulator': the value of ENDPOINT_KEY has a line end at position 5" in done.stderr
    assert leaks(done.stdout + done.stderr) == []


def test_no_traceback_shows_one():
    """Of whatever thread; in the worker and in every command, which call `guard` first."""
    program = """
import os, threading
from threadmill.secrets import redaction
redaction.guard()
def fail():
    raise RuntimeError(repr(os.environ["OWN_TOKEN"]))
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **SECRETS}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: '[key]'") == 2
    assert leaks(done.stderr) == []
