"""What a reply about a response shows: its answer, and whether a next request can refer to it."""

from typing import Any

import pytest

from threadmill_worker.drivers.responses.replies import parse_last_event, parse_reply, parse_response
from threadmill_worker.lifecycle.observations import AnswerRead

TEXT = {"type": "message", "content": [{"type": "output_text", "text": "42"}]}
CODE = {"type": "code_interpreter_call", "container_id": "cntr_1"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weigh", "arguments": "{}"}
BLOCK = {"type": "text", "text": {"value": "42", "annotations": []}}


def response(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "status": status, "output": list(output), **fields}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (response(CODE, TEXT), AnswerRead((BLOCK,), ("cntr_1",))),
        (response(TEXT, status="incomplete"), AnswerRead((BLOCK,))),
        (response(), AnswerRead(())),
        (response(TEXT, status="in_progress"), None),
        (response(TEXT, status="cancelled"), None),
        (response(CALL), None),
        ({"id": "resp_1", "status": "completed"}, None),
        ({"id": "resp_1", "status": "completed", "output": "42"}, None),
    ],
)
def test_the_answer_is_that_of_a_response_which_has_ended(body: dict[str, Any], answer: AnswerRead | None) -> None:
    assert parse_response(body).answer == answer


@pytest.mark.parametrize(
    ("body", "is_kept"),
    [
        (response(status="queued"), True),
        (response(CALL, background=True), True),
        (response(CALL, background=True, store=True), True),
        (response(CALL, background=True, store=False), False),
        (response(CALL, store=True), False),  # LiteLLM's bridge, which stores nothing
        (response(CALL), False),
    ],
)
def test_an_unretrieved_response_is_kept_if_it_ran_in_the_background(body: dict[str, Any], is_kept: bool) -> None:
    assert parse_reply(body).is_kept is is_kept


def test_no_request_can_continue_from_a_response_that_litellm_polls() -> None:
    polled = response(CALL, background=True) | {"id": "litellm_poll_1", "previous_response_id": "litellm_poll_0"}
    assert not parse_response(polled).is_kept


@pytest.mark.parametrize(
    ("reasoning", "repeated"),
    [
        ({"summary": []}, None),
        ({"summary": [], "content": None, "encrypted_content": "x", "status": None}, {"encrypted_content": "x"}),
        (
            {"content": [{"type": "reasoning_text", "text": "Hm."}]},
            {"content": [{"type": "reasoning_text", "text": "Hm."}]},
        ),
    ],
)
def test_a_response_with_calls_is_repeated_with_its_other_items(
    reasoning: dict[str, Any], repeated: dict[str, Any] | None
) -> None:
    thought = {"type": "reasoning", "id": "rs_1", **reasoning}
    first, *others = parse_response(response(thought, TEXT, CALL | {"id": "fc_1", "status": "completed"})).items

    assert [first, *others][-2:] == [{"type": "message", "role": "assistant", "content": "42"}, CALL]
    if repeated is not None:
        assert first == {"type": "reasoning", "id": "rs_1", "summary": [], **repeated}
    assert len(others) == 1 + (repeated is not None)


def test_a_response_that_was_retrieved_is_kept() -> None:
    assert parse_response(response(CALL)).is_kept
    assert not parse_response(response(CALL, store=False)).is_kept


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        (response(TEXT), True),
        (response(CALL), True),
        (response(status="failed", error={"code": "server_error"}), True),
        (response(), False),  # some servers leave the output out of their last event
        (response(TEXT, status="in_progress"), False),
    ],
)
def test_the_last_event_counts_if_it_holds_the_whole_response(body: dict[str, Any], is_whole: bool) -> None:
    assert (parse_last_event(body) is not None) is is_whole
