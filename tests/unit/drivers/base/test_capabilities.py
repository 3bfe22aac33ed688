"""What replies show of what a server can do."""

import json
from typing import Any

import httpx2
import openai
import pytest

from threadmill_worker.drivers.base.capabilities import Capabilities, refuses_background


def refusal(status: int, body: dict[str, Any]) -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://127.0.0.1/v1/responses")
    response = httpx2.Response(status, request=request, content=json.dumps(body).encode())
    return openai.APIStatusError("refused", response=response, body=body)


@pytest.mark.parametrize(
    ("status", "body", "refuses"),
    [
        # OpenAI; vLLM without a store, which names it in the message too
        (400, {"error": {"message": "Unsupported parameter.", "param": "background"}}, True),
        (400, {"error": {"message": "This vLLM engine does not support the background mode."}}, True),
        (422, {"detail": "background: Extra inputs are not permitted"}, True),
        (400, {"error": {"message": "Unknown model.", "param": "model"}}, False),
        (400, {"error": {"message": "Unknown tool."}, "input": "Paint a background."}, False),
        (500, {"error": {"message": "The background task failed."}}, False),
    ],
)
def test_a_server_may_refuse_to_work_in_the_background(status: int, body: dict[str, Any], refuses: bool) -> None:
    assert refuses_background(refusal(status, body)) is refuses


@pytest.mark.parametrize(
    ("body", "streamed", "waits"),
    [
        ({"status": "queued"}, False, False),
        ({"status": "in_progress"}, False, False),
        ({"status": "completed", "background": True}, False, False),
        ({"status": "completed", "background": False}, False, True),
        ({"status": "completed"}, False, True),
        ({"status": "in_progress"}, True, True),
        ({"status": "in_progress", "background": True}, True, False),
    ],
)
def test_a_reply_shows_whether_the_next_may_take_long(body: dict[str, Any], streamed: bool, waits: bool) -> None:
    server = Capabilities(background=True)
    server.background_answered(body, streamed=streamed)
    assert server.waits is waits


def test_a_silent_server_may_wait_until_it_shows_otherwise() -> None:
    unknown, known = Capabilities(background=True), Capabilities(background=True)
    known.background_answered({"status": "queued"}, streamed=False)
    for server in (unknown, known):
        server.background_unanswered()
    assert (unknown.waits, known.waits) == (True, False)
