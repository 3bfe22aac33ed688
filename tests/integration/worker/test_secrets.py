"""The key goes to its server and nowhere else: not to Redis, a log line, a failure or a result."""

import asyncio
import os
import uuid

import pytest

from threadmill import JobState

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(api_key_env="TEST_KEY", unreachable_limit_s=0.2, max_reruns=0),
]

TOOLS = {"leaky": f"{__name__}:leaky", "broken": f"{__name__}:broken"}


def leaky() -> str:
    return f"the key is {os.environ['TEST_KEY']}"


def broken() -> str:
    raise RuntimeError(f"cannot log in with {os.environ['TEST_KEY']}")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", f"sk-distinctive-{uuid.uuid4().hex}")
    return os.environ["TEST_KEY"]


def everything(store) -> str:
    """All that is in Redis, values and names; in three round trips, since other tests have left thousands of keys."""
    names = list(store.scan_iter(count=100_000))
    with store.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.type(name)
        kinds = pipeline.execute()
        readers = {
            "string": pipeline.get,
            "hash": pipeline.hgetall,
            "zset": lambda name: pipeline.zrange(name, 0, -1),
            "list": lambda name: pipeline.lrange(name, 0, -1),
            "set": pipeline.smembers,
            "stream": pipeline.xrange,
        }
        found = [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind != "none"]
        for name, kind in found:
            readers[kind](name)
        return "\n".join(f"{name} {value}" for (name, _), value in zip(found, pipeline.execute(), strict=True))


def assert_secret(result, store, capfd, caplog) -> None:
    stood = everything(store)
    assert result.job_id in stood
    logged = "".join(capfd.readouterr()) + caplog.text
    assert result.job_id in logged
    for text in (stood, logged, result.model_dump_json()):
        assert os.environ["TEST_KEY"] not in text


def echoing(status: int, content_type: str, **headers: str):
    """A server that answers everything with the key it was sent."""

    async def app(scope, receive, send):
        sent = dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer ")
        named = [(b"content-type", content_type.encode())]
        named += [(name.encode(), value.encode() + sent) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send(
            {"type": "http.response.body", "body": b'{"error": {"message": "no: %s", "code": "%s"}}' % (sent, sent)}
        )

    return app


class TestAServerThatEchoesTheKey:
    @pytest.fixture
    def base_url(self, request, serve):
        return serve(request.param)

    @pytest.mark.parametrize(
        "base_url",
        [
            echoing(401, "application/json"),
            echoing(400, "application/json"),
            echoing(429, "text/plain"),
            echoing(500, "text/html"),
            echoing(302, "text/html", location="https://sso.example/?key="),
            echoing(200, "text/html"),
            echoing(200, "application/json"),
        ],
        indirect=True,
        ids=["401", "400", "429", "500", "302", "200-html", "200-json"],
    )
    async def test_leaves_no_trace_of_it(self, worker, store, capfd, caplog):
        result = await worker.run(timeout_s=3)  # it waits so long after a 429

        assert result.state is JobState.FAILED
        assert result.failure.message
        assert_secret(result, store, capfd, caplog)


@pytest.mark.settings(tools=TOOLS)
@pytest.mark.parametrize("tool", ["leaky", "broken"])
async def test_a_key_in_a_tool_output_is_redacted(worker, emulator, store, capfd, caplog, key, tool):
    result = await worker.run("[[scenario=tools]]\nWell?", tools=[tool])

    assert result.state is JobState.SUCCEEDED
    assert "[key]" in result.text
    assert_secret(result, store, capfd, caplog)
    assert all(key.encode() not in request.body for request in emulator.requests)


@pytest.mark.emulated(api_key="sk-another")
async def test_a_refused_key_is_not_shown(worker, store, capfd, caplog):
    result = await worker.run()

    assert result.failure.kind == "unauthorised"
    assert_secret(result, store, capfd, caplog)


async def test_a_job_on_its_way_does_not_hold_it_either(worker, emulator, store, capfd, caplog, until, key):
    running = asyncio.create_task(worker.run(assistant="asst_stuck", timeout_s=1))
    await asyncio.to_thread(until, lambda: emulator.stats()["runs"]["created"])
    assert key not in everything(store)
    assert_secret(await running, store, capfd, caplog)
