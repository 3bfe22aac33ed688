"""What the events of a stream tell on each wire, and what becomes of a stream as its bytes come."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.answering import Content

from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.assistants.events import ASSISTANTS
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.http.calls import Post, Raw
from threadmill_worker.drivers.replies.json import NotTheApi
from threadmill_worker.drivers.responses.events import RESPONSES
from threadmill_worker.drivers.streaming import pacing
from threadmill_worker.drivers.streaming.events import name_of
from threadmill_worker.drivers.streaming.sse import Frame
from threadmill_worker.drivers.streaming.stream import RARELY_S, EventStream, StreamSlots
from threadmill_worker.lifecycle.observations import RunObservation
from threadmill_worker.live.buffer import EventBuffer

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "content": [{"type": "output_text", "text": "All "}, {"type": "refusal", "refusal": "no"}],
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["item_id", "delta"]), inner),
    max_leaves=4,
)


@pytest.mark.parametrize("name", ["response.output_text.delta", "response.refusal.delta"])
def test_a_piece_of_a_response(name):
    assert name in RESPONSES.deltas
    data = {"type": name, "item_id": "msg_1", "content_index": 0, "delta": "All "}
    assert RESPONSES.read_delta(json.dumps(data).encode()) == ("msg_1", "All ")


@given(ANY_JSON)
def test_any_delta_at_all_is_read(data):
    for events in (ASSISTANTS, RESPONSES):
        id, text = events.read_delta(json.dumps(data).encode())
        assert isinstance(id, str)
        assert isinstance(text, str)


def test_only_message_items_of_a_response_have_text():
    assert RESPONSES.read_message({"item": MESSAGE}) == ("msg_1", "All no")
    assert RESPONSES.read_message({"item": {"id": "fc_1", "type": "function_call"}}) is None
    assert RESPONSES.read_message({}) is None


@pytest.mark.parametrize("events", [ASSISTANTS, RESPONSES])
def test_each_event_says_one_thing(events):
    assert events.changes < events.runs
    assert not events.deltas & events.messages
    assert not events.runs & (events.deltas | events.messages)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (Frame("response.created", b"not read"), "response.created"),
        (Frame("", b'{"type":"response.created"}'), "response.created"),
        (Frame("", b"[DONE]"), ""),
        (Frame("", b'{"id":"msg_1"}'), "None"),
    ],
)
def test_a_server_may_name_its_events_in_the_data_alone(frame, name):
    assert name_of(frame) == name


class Told(EventBuffer):
    """A buffer that keeps what it receives."""

    def __init__(self):
        super().__init__()
        self.deltas, self.messages = [], []

    def delta(self, data, read):
        self.deltas.append(read(data))

    def message(self, message_id, text):
        self.messages.append((message_id, text))


CLIENT = openai.OpenAI(api_key="none", base_url="http://server/v1")


class Server:
    """Answers a call with these bytes; `asked`: with what it was called."""

    def __init__(self, *chunks: bytes, refuses: object = None, status: int = 400) -> None:
        self.chunks, self.refuses, self.status, self.asked = chunks, refuses, status, []
        self.refuses_all = False
        self.open = asyncio.Event()  #: lets the stream end

    @asynccontextmanager
    async def stream(self, post, *, waits):
        self._ask(streams=True)
        yield SimpleNamespace(headers={"content-type": "text/event-stream"}, content=Events(self))

    async def send(self, post, *, waits):
        self._ask(streams=False)
        return Raw('{"id": "resp_1", "status": "queued"}', {"content-type": "application/json"})

    def _ask(self, *, streams):
        self.asked.append(streams)
        if (streams or self.refuses_all) and self.refuses:
            request = httpx2.Request("POST", "http://server/v1/responses")
            response = httpx2.Response(self.status, json=self.refuses, request=request)
            raise CLIENT._make_status_error_from_response(response)


class Events(Content):
    """The chunks of a server. They end when it lets them."""

    def __init__(self, server: Server) -> None:
        super().__init__(*server.chunks)
        self._open = server.open

    async def readany(self) -> bytes:
        if not self._chunks:
            await self._open.wait()
        return await super().readany()


def told(name: str, named: bool = True, **data: object) -> bytes:
    head = f"event: {name}\n" if named else ""
    return f"{head}data: {json.dumps({'type': name, **data})}\n\n".encode()


def response(status: str) -> dict[str, object]:
    return {"response": {"id": "resp_1", "status": status}}


@pytest.fixture
def feed():
    return Told()


@pytest.fixture
def listen(monkeypatch, feed):
    """Opens a stream on a server, and gives it with the reply."""
    monkeypatch.setattr(pacing, "READ_PAUSE_S", 0.001)
    monkeypatch.setattr(pacing, "_END_S", 0.01)
    REDACTOR.register("sk-secret")
    endpoint = Endpoint(kind="responses", api_key_env=None)

    async def open(server: Server, slots: StreamSlots | None = None, model: str = "m"):
        stream = EventStream(feed, endpoint, RESPONSES, slots or StreamSlots(1), model)
        reply = await stream.open(Api(SimpleNamespace(sdk=None, http=server), endpoint), Post(("responses",), {}))
        return stream, reply

    return open


@pytest.mark.parametrize("named", [True, False])
async def test_the_first_event_replies_and_the_last_calls_for_a_look(listen, feed, named):
    slots = StreamSlots(1)
    server = Server(
        told("response.created", named, **response("queued")),
        told("response.output_text.delta", named, item_id="msg_1", delta="All "),
        told("response.output_item.done", named, item={"id": "fc_1", "type": "function_call"}),
        told("response.output_item.done", named, item=MESSAGE),
        told("response.completed", named, **response("completed")) + b"data: [DONE]\n\n",
    )
    stream, reply = await listen(server, slots)
    assert reply.body == {"id": "resp_1", "status": "queued"}
    assert stream.paced(RunObservation("resp_1", "queued")).poll_after_s == RARELY_S
    await stream.run_changed()

    assert (feed.deltas, feed.messages) == ([("msg_1", "All ")], [("msg_1", "All no")])
    assert stream.paced(RunObservation("resp_1", "queued")).poll_after_s is None
    await stream.close()
    assert slots.left == 1


async def test_our_key_is_cut_out_wherever_the_network_cuts_it(listen, feed):
    message = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "the key is sk-secret"}]}
    said = told("response.output_item.done", item=message)
    server = Server(told("response.created", **response("queued")) + said[:-8], said[-8:], told("error"))
    stream, _ = await listen(server)
    await stream.run_changed()

    assert feed.messages == [("m", "the key is [key]")]


async def test_our_key_is_in_no_error_either(listen):
    with pytest.raises(NotTheApi, match=r"\[key\]"):
        await listen(Server(b'data: {"sk-secret\n\n'))


@pytest.mark.parametrize("last", [told("error", message="Sorry"), told("response.output_item.done", item={})[:-3]])
async def test_a_stream_that_names_no_response_is_not_a_reply(listen, last):
    server = Server(last)
    server.open.set()
    with pytest.raises(NotTheApi):
        await listen(server)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "stream is not supported"}}),
        (400, {"error": {"message": "Unsupported value: True", "param": "stream"}}),
        (400, {"detail": "OGX does not yet support 'stream' and 'background' together."}),
        (422, {"detail": [{"loc": ["body", "stream"], "msg": "Extra inputs are not permitted"}]}),
        (501, "Streaming is not implemented"),
    ],
)
async def test_a_server_that_refuses_to_stream_is_asked_without_from_then_on(listen, status, body):
    server, slots = Server(refuses=body, status=status), StreamSlots(1)
    _, reply = await listen(server, slots)
    assert reply.body["id"] == "resp_1"
    await listen(server, slots)  # another job
    assert server.asked == [True, False, False]


async def test_a_refusal_to_stream_is_one_of_a_model(listen):
    message = "Your organization must be verified to stream this model."
    server, slots = Server(refuses={"error": {"message": message, "param": "stream"}}), StreamSlots(1)
    for model in ("m", "n", "m", "n"):
        await listen(server, slots, model)
    assert server.asked == [True, False, True, False, False, False]


async def test_a_call_that_fails_without_a_stream_too_says_nothing_of_streams(listen):
    slots = StreamSlots(1)
    server = Server(refuses={"error": {"message": "stream: unknown model"}})
    server.refuses_all = True
    with pytest.raises(openai.BadRequestError):
        await listen(server, slots)
    assert not slots.refused


@pytest.mark.parametrize("text", ["no such model", "upstream error"])
async def test_any_other_refusal_is_one(listen, text):
    server = Server(refuses={"error": {"message": text}})
    with pytest.raises(openai.BadRequestError):
        await listen(server)
    assert server.asked == [True]


async def test_no_stream_opens_without_a_free_slot(listen):
    server = Server()
    _, reply = await listen(server, StreamSlots(0))
    assert (reply.body["id"], server.asked) == ("resp_1", [False])
