"""The calls of a job on a server of Chat Completions."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.answering import client_of

from threadmill import PromptJob
from threadmill.job.result import FailureKind
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.base.capabilities import Capabilities
from threadmill_worker.drivers.base.connection import Connection
from threadmill_worker.drivers.chat.driver import ChatDriver
from threadmill_worker.drivers.chat.remote_objects import ChatObjects
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.drivers.streaming import pacing
from threadmill_worker.drivers.streaming.stream import StreamSlots
from threadmill_worker.lifecycle.actions import (
    AddMessage,
    CreateThread,
    PollRun,
    ReadAnswer,
    Resolve,
    StartRun,
    SubmitOutputs,
    Unlock,
)
from threadmill_worker.lifecycle.observations import (
    Gone,
    LaneClosed,
    NothingFound,
    NotSent,
    Rejected,
    RunObservation,
    ThreadCreated,
    Unknown,
    Unresolved,
    Untraceable,
)
from threadmill_worker.lifecycle.progress import CurrentRun, Features, Intent, PendingRequest, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.live.buffer import EventBuffer

PROGRESS = Progress(deadline_at=0, messages=1, thread_id="", pending=PendingRequest(7.0))
TOOL = {"type": "function", "function": {"name": "weigh"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weigh", "arguments": "{}"}}

Reply = httpx2.Response | Exception


class Feed(EventBuffer):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[str, str]] = []
        self.messages: list[tuple[str, str]] = []

    def delta(self, data: bytes, read: Callable[[bytes], tuple[str, str]]) -> None:
        self.pieces.append(read(data))

    def message(self, message_id: str, text: str) -> None:
        self.messages.append((message_id, text))


class Server:
    """Answers each call with the next of its replies; an exception is raised instead."""

    def __init__(self, *replies: Reply, supports: dict[str, bool] | None = None) -> None:
        settings = {"kind": "chat", "base_url": "http://server/v1", "model": "m", "supports": supports or {}}
        endpoint = Endpoint.model_validate(settings)
        self.replies = list(replies)
        self.requests: list[httpx2.Request] = []
        self.feed = Feed()
        transfer: Any = None  # no files
        self.connection = Connection(
            "e", endpoint, client_of(self._reply, endpoint), transfer, StreamSlots(1), Capabilities(background=False)
        )

    def driver(self, **fields: Any) -> ChatDriver:
        job = PromptJob.parse({"prompt": "Hi"} | fields)
        tools = [tool for tool in job.tools or () if isinstance(tool, dict)]
        return ChatDriver(self.connection, JobSpec("job", job, "e", model="m", tools=tools), self.feed)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    def _reply(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    monkeypatch.setattr(pacing, "READ_PAUSE_S", 0.001)


def completion(text: str | None = "Hello", **message: Any) -> httpx2.Response:
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    return httpx2.Response(200, json={"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]})


def refusal(message: str, status: int = 400, **fields: Any) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message, **fields}})


def chunk(reason: str | None = None, **delta: Any) -> str:
    return json.dumps({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def stream(*events: str, end: str = "\n\n") -> httpx2.Response:
    text = "\n\n".join(f"data: {event}" for event in events) + end
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream; charset=utf-8"})


def text_of(seen: object) -> str:
    assert isinstance(seen, RunObservation), seen
    assert seen.answer is not None
    return "".join(block["text"]["value"] for block in seen.answer.blocks)


async def test_a_run_is_one_call_that_returns_with_its_answer():
    server = Server(completion())
    driver = server.driver(metadata={"a": "b"})
    seen = await driver.do(StartRun(1), PROGRESS)

    assert isinstance(seen, RunObservation)
    assert (seen.id, seen.status, text_of(seen)) == ("run-1:c", "completed", "Hello")
    assert server.requests[0].url.path == "/v1/chat/completions"
    assert server.bodies == [{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}]
    assert (driver.calls, driver.awaits_run, driver.has_stream) == (1, False, False)


async def test_outputs_are_sent_in_another_call_with_all_messages():
    server = Server(completion(None, tool_calls=[CALL]), completion(None, tool_calls=[CALL]))
    driver = server.driver(tools=[TOOL])
    seen = await driver.do(StartRun(1), PROGRESS)
    assert isinstance(seen, RunObservation)
    run = CurrentRun(seen, started_at=0, active_since=0, outputs={"call_1": "1 kg"})
    again = await driver.do(SubmitOutputs(seen.id, {"call_1": "1 kg"}), replace(PROGRESS, run=run, runs=1))

    assert [each["role"] for each in server.bodies[1]["messages"]] == ["user", "assistant", "tool"]
    assert isinstance(again, RunObservation)
    assert again.id == "run-1-2:c"
    assert again.calls[0].id != "call_1"  # the server repeats its ids


async def test_a_kept_thread_needs_no_call():
    server = Server()
    driver = server.driver(keep_thread=True)
    assert await driver.do(CreateThread(1), PROGRESS) == ThreadCreated("local_job", remote=False)
    assert await driver.do(Resolve(Intent.CREATE_THREAD), PROGRESS) == NothingFound()


@pytest.mark.parametrize("action", [PollRun("run_1"), ReadAnswer("run_1"), Unlock("run_1")])
async def test_a_run_that_began_on_another_api_is_gone(action):
    assert isinstance(await Server().driver().do(action, PROGRESS), Gone)
    await Server().driver().do(AddMessage(0), PROGRESS)


async def test_the_text_of_a_stream_is_published_and_its_run_returned_at_its_end():
    server = Server(stream(chunk(role="assistant"), chunk(content="Hel"), chunk(content="lo"), chunk("stop"), "[DONE]"))
    driver = server.driver(stream=True)
    seen = await driver.do(StartRun(1), PROGRESS)

    assert text_of(seen) == "Hello"
    assert server.feed.pieces == [("run-1", "Hel"), ("run-1", "lo")]
    assert server.feed.messages == [("run-1", "Hello")]
    assert server.bodies[0]["stream"] is True
    assert not driver.has_stream


@pytest.mark.parametrize(
    "reply",
    [
        stream(chunk(content="Hello"), chunk("stop")),  # no [DONE]
        stream(chunk(content="Hello"), chunk("stop"), end="\n"),  # no empty line at the end
        stream(chunk(content="Hello"), chunk("stop"), "[DONE]", "not read"),
        stream(chunk(content="Hello"), '{"id": "c", "choices": []}', "{}", "[]", chunk("stop"), "[DONE]"),
        httpx2.Response(
            200,
            text=f": ping\r\n\r\ndata: {chunk(content='Hello')}\r\n\r\n: ping\r\n\r\ndata:{chunk('stop')}\r\n\r\n",
            headers={"content-type": "text/event-stream"},
        ),
        completion(),  # the server ignores `stream`
    ],
)
async def test_streams_of_all_forms_have_the_same_answer(reply):
    assert text_of(await Server(reply).driver(stream=True).do(StartRun(1), PROGRESS)) == "Hello"


@pytest.mark.parametrize(
    "event",
    ['{"error": {"message": "no luck"}}', '[{"error": {"message": "no luck"}}]', '{"error": "no luck"}'],
)
async def test_an_error_within_a_stream_ends_the_run(event):
    server = Server(stream(chunk(content="Hel"), event, "[DONE]"))
    seen = await server.driver(stream=True).do(StartRun(1), PROGRESS)
    assert isinstance(seen, RunObservation)
    assert (seen.status, seen.error_message) == ("failed", "no luck")


async def test_an_event_named_error_is_one():
    text = 'event: error\ndata: {"message": "no luck"}\n\n'
    reply = httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})
    seen = await Server(reply).driver(stream=True).do(StartRun(1), PROGRESS)
    assert isinstance(seen, RunObservation)
    assert (seen.status, seen.error_message) == ("failed", "no luck")


@pytest.mark.parametrize("events", [(), (chunk(content="Hel"),), (chunk(content="Hel"), "[DONE]"), ("<html>",)])
async def test_a_stream_that_ends_before_the_answer_is_a_lost_reply(events):
    server = Server(stream(*events))
    driver = server.driver(stream=True)

    assert isinstance(await driver.do(StartRun(1), PROGRESS), Unknown)
    assert await driver.do(Resolve(Intent.START_RUN), PROGRESS) == Untraceable()
    assert not server.feed.pieces or server.feed.messages == [("run-1", "")]

    server.replies.append(completion())
    assert text_of(await driver.do(StartRun(1), PROGRESS)) == "Hello"
    assert "stream" not in server.bodies[1], "streams of this server may have no end"
    assert server.connection.left_out == {}


async def test_a_secret_in_several_chunks_is_redacted():
    key = "key-of-a-tool-0123456789"
    server = Server(stream(chunk(content=f"It is {key[:12]}"), chunk(content=key[12:]), chunk("stop")))
    REDACTOR.register(key)
    try:
        assert key not in text_of(await server.driver(stream=True).do(StartRun(1), PROGRESS))
    finally:
        REDACTOR.forget(key)


async def test_an_answer_larger_than_the_limit_is_not_read():
    server = Server(stream(chunk(content="a" * 50), chunk("stop")))
    endpoint = server.connection.endpoint.model_copy(update={"reply_limit_bytes": 40})
    server.connection.__dict__["endpoint"] = endpoint
    seen = await server.driver(stream=True).do(StartRun(1), PROGRESS)
    assert "reply_limit_bytes" in getattr(seen, "reason", "")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (OSError("reset"), Untraceable()),
        (httpx2.Response(200, text="<html>"), Untraceable()),
        (httpx2.Response(504, text="<html>"), Untraceable()),
        (httpx2.Response(502, text="<html>"), Untraceable()),
    ],
)
async def test_a_call_is_lost_if_the_server_itself_did_not_answer(reply, found):
    driver = Server(reply).driver()

    assert isinstance(await driver.do(StartRun(1), PROGRESS), Unknown)
    assert await driver.do(Resolve(Intent.START_RUN), PROGRESS) == found
    assert await driver.do(Resolve(Intent.SUBMIT_OUTPUTS), PROGRESS) == found


@pytest.mark.parametrize(
    ("status", "headers", "is_busy", "is_waited_for"),
    [
        (500, {}, False, False),
        (503, {}, True, False),  # a proxy says the same of a server that is down
        (503, {"retry-after": "5"}, True, True),
        (529, {"retry-after": "5"}, True, True),
    ],
)
async def test_a_call_that_the_server_ended_with_an_error_is_over(status, headers, is_busy, is_waited_for):
    seen = await Server(httpx2.Response(status, text="Sorry", headers=headers)).driver().do(StartRun(1), PROGRESS)
    assert isinstance(seen, NotSent)
    assert (seen.is_refusal, seen.is_waited_for) == (is_busy, is_waited_for)


async def test_a_lost_call_is_repeated_with_its_key():
    server = Server(OSError("reset"), completion(), supports={"idempotency_keys": True})
    driver = server.driver()
    await driver.do(StartRun(1), PROGRESS)
    assert await driver.do(Resolve(Intent.START_RUN), PROGRESS) == Unresolved()
    await driver.do(StartRun(1), PROGRESS)

    keys = [request.headers.get("idempotency-key") for request in server.requests]
    assert keys == ["job/run-1@7.000", "job/run-1@7.000"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal("slow down", 429), NotSent),
        (refusal("The model `m` does not exist", 404, code="model_not_found"), Rejected),
        (httpx2.Response(404, text="404 page not found"), Rejected),
        (refusal("no key", 401), Rejected),
    ],
)
async def test_refusals_have_no_effect(reply, kind):
    assert isinstance(await Server(reply).driver().do(StartRun(1), PROGRESS), kind)


async def test_a_server_without_the_path_is_not_one_of_chat_completions():
    seen = await Server(httpx2.Response(404, text="404 page not found")).driver().do(StartRun(1), PROGRESS)
    assert isinstance(seen, Rejected)
    assert seen.failure.kind is FailureKind.UNSUPPORTED
    assert "check base_url" in seen.failure.message


async def test_a_tier_that_the_server_refuses_closes_the_lane():
    progress = replace(PROGRESS, features=Features(lane="flex"))
    server = Server(refusal("Invalid service_tier argument", param="service_tier"))
    assert isinstance(await server.driver(lane="flex").do(StartRun(1), progress), LaneClosed)


async def test_fields_that_the_server_refuses_are_left_out_from_then_on():
    server = Server(
        refusal("Unsupported parameter", param="max_tokens"),
        refusal('Unknown name "seed": Cannot find field.'),
        completion(),
        completion(),
    )
    for _ in range(2):
        assert text_of(await server.driver(seed=1, max_completion_tokens=9).do(StartRun(1), PROGRESS)) == "Hello"

    base = {"model", "messages"}
    assert [body.keys() - base for body in server.bodies] == [
        {"seed", "max_tokens"},
        {"seed", "max_completion_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]


async def test_fields_are_left_out_for_their_model_alone():
    server = Server(refusal("no", param="seed"), completion(), completion())
    await server.driver(seed=1).do(StartRun(1), PROGRESS)
    spec = JobSpec("job", PromptJob(prompt="Hi", seed=1), "e", model="other")
    await ChatDriver(server.connection, spec, EventBuffer()).do(StartRun(1), PROGRESS)
    assert [("seed" in body) for body in server.bodies] == [True, False, True]


async def test_a_refusal_of_something_else_is_reported_and_nothing_is_learned():
    server = Server(refusal("no `seed`"), refusal("the prompt is bad"))
    seen = await server.driver(seed=1).do(StartRun(1), PROGRESS)
    assert isinstance(seen, Rejected)
    assert "no `seed`" in seen.reason
    assert server.connection.left_out == {}


async def test_a_server_that_refuses_streams_answers_in_one_reply():
    server = Server(refusal("stream is not supported"), completion())
    assert text_of(await server.driver(stream=True).do(StartRun(1), PROGRESS)) == "Hello"
    assert "stream" not in server.bodies[1]


@pytest.mark.parametrize(
    ("reply", "is_right"),
    [
        (refusal("you must provide a model parameter"), True),
        (httpx2.Response(422, json={"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}), True),
        (httpx2.Response(404, text="404 page not found"), False),
    ],
)
async def test_the_check_of_a_server_costs_nothing(reply, is_right):
    server = Server(reply, reply, reply, reply, reply)
    found = await ChatObjects(server.connection.api(), set()).probe()
    assert isinstance(found, Rejected) is not is_right
    assert json.loads(server.requests[0].content) == {}
