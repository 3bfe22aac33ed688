"""The life of responses, containers and batches by the clock."""

import json
from typing import Any

import pytest

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.responses.response import Response
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.schemas.strict_schema import not_strict
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.state.batches import CreateBatch
from threadmill_emulator.state.server_state import ServerState

MINUTE_S = 60
DAY_S = 24 * 3600


class Rehearsal:
    """A state on a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.state = ServerState(lambda: self.now, Options(run_s=10, batch_s=10))

    def create(self, input: Any = "hi", **more: Any) -> Response:
        body = {"model": "m", "input": input, "background": True} | more
        return self.state.responses.create(CreateResponse.model_validate(body))

    def status(self, response: Response, at: float) -> str:
        self.now = 1000.0 + at
        return self.state.responses.get(response.id).status


@pytest.fixture
def rehearsal() -> Rehearsal:
    return Rehearsal()


def test_nothing_expires(rehearsal: Rehearsal):
    slow = rehearsal.create("[[run_s=5000]]hi")
    assert rehearsal.status(slow, 4999) == "in_progress"
    assert rehearsal.status(slow, 5000) == "completed"


def test_each_tool_round_takes_its_share(rehearsal: Rehearsal):
    first = rehearsal.create("[[scenario=tools]]hi")
    assert rehearsal.status(first, 4.9) == "in_progress"
    assert rehearsal.status(first, 5) == "completed"
    (call,) = first.output
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    second = rehearsal.create([output], previous_response_id=first.id)
    assert rehearsal.status(second, 9.9) == "in_progress"
    assert rehearsal.status(second, 10) == "completed"
    assert "42" in second.output[0]["content"][0]["text"]


def test_what_is_not_stored_is_gone_ten_minutes_after_its_end(rehearsal: Rehearsal):
    unstored, stored = rehearsal.create(store=False), rehearsal.create()
    assert rehearsal.status(unstored, 10) == "completed"
    assert rehearsal.status(unstored, 10 + 599) == "completed"
    with pytest.raises(ApiError, match="not found"):
        rehearsal.status(unstored, 10 + 600)
    assert rehearsal.status(stored, 100 * DAY_S) == "completed"
    at_once = rehearsal.create(store=False, background=False)
    with pytest.raises(ApiError, match="not found"):
        rehearsal.status(at_once, 100 * DAY_S)
    assert rehearsal.state.responses.all() == [stored]


def test_what_is_not_stored_is_not_continued(rehearsal: Rehearsal):
    unstored = rehearsal.create(store=False)
    assert rehearsal.status(unstored, 10) == "completed"
    with pytest.raises(ApiError, match="Previous response with id"):
        rehearsal.create(previous_response_id=unstored.id)


def test_a_container_is_gone_twenty_minutes_after_its_last_use(rehearsal: Rehearsal):
    response = rehearsal.create("[[scenario=plot]]hi")
    rehearsal.status(response, 10)
    containers = rehearsal.state.responses.containers
    (container,) = containers.all()
    for at in (19, 38):
        rehearsal.now = 1010.0 + at * MINUTE_S
        assert containers.get(container.id) is container
    rehearsal.now += 20 * MINUTE_S
    assert containers.all() == []


def test_a_response_continues_after_its_conversation_is_deleted(rehearsal: Rehearsal):
    conversations = rehearsal.state.responses.conversations
    conversation = conversations.create([], {})
    response = rehearsal.create(conversation=conversation.id)
    conversations.delete(conversation.id)
    assert rehearsal.status(response, 10) == "completed"


def test_a_deleted_response_unlocks_its_conversation(rehearsal: Rehearsal):
    conversation = rehearsal.state.responses.conversations.create([], {})
    response = rehearsal.create(conversation=conversation.id)
    rehearsal.state.responses.drop(response)
    assert rehearsal.create(conversation=conversation.id).read == []


def batch(rehearsal: Rehearsal, input: str, **more: Any) -> str:
    body = {"model": "m", "input": input} | more
    request = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body}
    file = rehearsal.state.files.add("in.jsonl", json.dumps(request).encode(), "batch")
    asked = {"input_file_id": file.id, "endpoint": "/v1/responses", "completion_window": "24h"}
    return rehearsal.state.batches.create(CreateBatch.model_validate(asked)).id


def test_a_batch_completes_without_being_polled(rehearsal: Rehearsal):
    id = batch(rehearsal, "hi")
    rehearsal.now += 2 * DAY_S
    done = rehearsal.state.batches.get(id)
    assert (done.status, done.moments["completed"]) == ("completed", 1010.0)


def test_a_batch_that_hangs_expires_after_a_day(rehearsal: Rehearsal):
    id, batches = batch(rehearsal, "[[scenario=stuck]]hi", store=False), rehearsal.state.batches
    seen = []
    for rehearsal.now in (1000.0, 1001.0, 1000.0 + DAY_S - 1, 1000.0 + DAY_S):
        seen.append(batches.get(id).status)
    assert seen == ["validating", "in_progress", "in_progress", "expired"]
    error_file = rehearsal.state.files.get(batches.get(id).error_file_id or "")
    assert json.loads(error_file.data)["error"]["code"] == "batch_expired"


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"type": "string"}, None),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, None),
        ({"type": "object"}, "In context=(), 'additionalProperties'"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, "Missing 'a'."),
        ({"type": "array", "items": {"type": "object"}}, "In context=('items',), 'additionalProperties'"),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, "In context=('anyOf', '1')"),
    ],
)
def test_what_strict_demands_of_a_schema(schema: dict[str, Any], wrong: str | None):
    found = not_strict(schema)
    assert found is None if wrong is None else wrong in (found or "")
