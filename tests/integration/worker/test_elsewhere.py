"""Servers that are not there, or are something else."""

import json

import pytest

from threadmill import FailureKind, JobState
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

#: Where nobody listens.
NOBODY = f"http://127.0.0.1:{free_port()}/v1"


@pytest.mark.endpoint(unreachable_limit_s=0.2)
@pytest.mark.parametrize("base_url", [NOBODY, "http://no-such-host.invalid/v1"], ids=["refused", "unknown"])
async def test_a_job_on_a_missing_server_fails(worker):
    result = await worker.run()

    assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.UNREACHABLE)
    assert result.failure.retryable
    assert (result.runs, result.lost_threads) == (0, 0), "nothing ever left us"
    assert result.calls > 1


@pytest.mark.endpoint(unreachable_limit_s=60)
@pytest.mark.parametrize("base_url", [NOBODY], ids=["refused"])
async def test_the_deadline_comes_first(worker):
    result = await worker.run(timeout_s=0.3)

    assert result.failure.kind is FailureKind.OVERDUE


class TestAServerWithoutTheApi:
    @pytest.fixture
    def base_url(self, emulator):
        return f"{emulator.url}/elsewhere"

    async def test_is_told_from_one_that_lost_a_thread(self, worker):
        result = await worker.run()

        assert (result.state, result.failure.kind) == (JobState.FAILED, FailureKind.UNSUPPORTED)
        assert (result.calls, result.failure.retryable) == (1, False)


def answering(status: int, body: object, **headers: str):
    """A server with one answer to everything."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def app(scope, receive, send):
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


class TestAnOddServer:
    @pytest.fixture
    def base_url(self, request, serve):
        return serve(request.param)

    @pytest.mark.endpoint(unreachable_limit_s=0.2)
    @pytest.mark.parametrize(
        ("base_url", "kind", "says"),
        [
            (answering(200, {}), FailureKind.UNREACHABLE, "the reply has no id"),
            (answering(200, []), FailureKind.UNREACHABLE, "the reply is not from the API"),
            (answering(200, "null"), FailureKind.UNREACHABLE, "the reply is not from the API"),
            (answering(200, ""), FailureKind.UNREACHABLE, "the reply is not from the API"),
            (answering(302, "", location="https://sso.example/login"), FailureKind.REJECTED, "sso.example"),
            (answering(401, "no entry"), FailureKind.UNAUTHORISED, "401 no entry"),
            (answering(403, {"detail": "not you"}), FailureKind.UNAUTHORISED, "403 not you"),
            (answering(400, {"error": "bare words"}), FailureKind.REJECTED, "bare words"),
            (answering(400, {"error": {"code": 400, "message": "odd"}}), FailureKind.REJECTED, "400 odd"),
            (answering(400, {"error": {"code": {}, "type": [], "message": None}}), FailureKind.REJECTED, "400"),
            (answering(429, {"error": {"code": "insufficient_quota", "message": "no credit"}}), "quota", "no credit"),
            (
                answering(503, "<html>busy</html>", content_type="text/html"),
                FailureKind.SERVER_ERROR,
                "503 an HTML page: busy",
            ),
        ],
        indirect=["base_url"],
    )
    async def test_is_described_in_its_own_words(self, worker, kind, says):
        result = await worker.run()

        assert (result.state, result.failure.kind) == (JobState.FAILED, kind)
        assert says in result.failure.message
