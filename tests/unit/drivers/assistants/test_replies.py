"""Replies as observations: whatever a server writes, a job is never broken by it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.job.result import Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.drivers.assistants.message_order import answers_of
from threadmill_worker.drivers.assistants.replies import blocks_of, parse_run
from threadmill_worker.drivers.replies.json import NotTheApi, parse_id, parse_object
from threadmill_worker.drivers.responses.replies import parse_response
from threadmill_worker.lifecycle.actions import PollRun
from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Progress

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def waiting(*calls: object) -> dict[str, object]:
    return {
        "id": "run_1",
        "status": "requires_action",
        "required_action": {"submit_tool_outputs": {"tool_calls": [*calls]}},
    }


def test_a_full_run_is_read():
    run = parse_run(
        {
            "id": "run_1",
            "status": "failed",
            "created_at": 1710330640,
            "expires_at": 1710331240,
            "last_error": {"code": "server_error", "message": "Sorry."},
            "incomplete_details": {"reason": "max_prompt_tokens"},
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            "model": "gpt-4o-mini-2024-07-18",
        },
        "1500",
    )
    assert (run.id, run.status, run.poll_after_s) == ("run_1", "failed", 1.5)
    assert (run.created_at, run.expires_at) == (1710330640, 1710331240)
    assert (run.error_code, run.error_message) == ("server_error", "Sorry.")
    assert run.incomplete_reason == "max_prompt_tokens"
    assert run.usage == Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert run.model == "gpt-4o-mini-2024-07-18"


def test_a_sparse_run_is_read_too():
    run = parse_run({"id": "run_1", "status": "queued"})
    assert (run.calls, run.expires_at, run.error_code, run.usage, run.poll_after_s) == ((), None, None, None, None)
    assert run.model is None
    assert parse_run({"id": "run_1", "status": "queued", "model": ""}).model is None


def test_a_bare_error_is_a_message():
    run = parse_run({"id": "run_1", "status": "failed", "last_error": "it broke"})
    assert (run.error_code, run.error_message) == (None, "it broke")


def test_calls_are_read_while_the_run_waits_for_them():
    assert parse_run(waiting(CALL)).calls == (ToolCall("call_1", "f", '{"a": 1}'),)
    assert parse_run(waiting(CALL) | {"status": "queued"}).calls == ()


@pytest.mark.parametrize("action", [None, {}, [], {"submit_tool_outputs": None}, {"submit_tool_outputs": {}}])
def test_a_server_may_list_no_calls_yet(action):
    assert parse_run({"id": "run_1", "status": "requires_action", "required_action": action}).calls == ()


def test_arguments_may_be_anything():
    calls = parse_run(waiting(CALL | {"function": {"name": "f", "arguments": None}}, {"id": "call_2"})).calls
    assert [call.arguments for call in calls] == ["", ""]


def test_usage_may_have_gaps():
    run = parse_run({"id": "r", "status": "completed", "usage": {"prompt_tokens": None, "total_tokens": 3}})
    assert run.usage == Usage(total_tokens=3)


@pytest.mark.parametrize("junk", ["soon", "", "1e", None])
def test_a_poll_hint_may_be_junk(junk):
    assert parse_run({"id": "r", "status": "queued"}, junk).poll_after_s is None


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"x"', "<html>", '{"id": "x'])
def test_a_reply_that_is_not_an_object_is_refused(text):
    with pytest.raises(NotTheApi, match="the reply is not from the API"):
        parse_object(text)


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": 7}, {"error": "x"}])
def test_an_object_without_an_id_is_none_of_the_apis(body):
    with pytest.raises(NotTheApi, match="the reply has no id"):
        parse_id(body)


def test_content_is_blocks_or_a_plain_string():
    block = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    assert blocks_of({"content": [block, "junk", None]}) == [block]
    assert blocks_of({"content": "天空"}) == [{"type": "text", "text": {"value": "天空", "annotations": []}}]
    assert blocks_of({"content": None}) == []


ODD_RUN = st.fixed_dictionaries(
    {"id": st.just("run_1")},
    optional={
        "status": st.sampled_from(["queued", "requires_action", "failed", "completed", "incomplete"]) | ANY_JSON,
        "required_action": ANY_JSON
        | st.fixed_dictionaries({"submit_tool_outputs": ANY_JSON})
        | st.fixed_dictionaries(
            {
                "submit_tool_outputs": st.fixed_dictionaries(
                    {
                        "tool_calls": ANY_JSON
                        | st.lists(
                            st.fixed_dictionaries({}, optional={"id": ANY_JSON, "function": ANY_JSON}), max_size=2
                        )
                    }
                )
            }
        ),
        "last_error": ANY_JSON | st.fixed_dictionaries({"code": ANY_JSON, "message": ANY_JSON}),
        "incomplete_details": ANY_JSON | st.fixed_dictionaries({"reason": ANY_JSON}),
        "expires_at": ANY_JSON,
        "created_at": ANY_JSON,
        "model": ANY_JSON,
        "usage": ANY_JSON | st.fixed_dictionaries(dict.fromkeys(Usage.model_fields, ANY_JSON)),
    },
)


@given(ODD_RUN, st.none() | st.text(max_size=6))
def test_any_run_at_all_is_a_view_that_the_lifecycle_takes(body, hint):
    body = parse_object(json.dumps(body))
    before = Progress(deadline_at=1e12, messages=1, thread_id="thread_1", messages_sent=1)
    run = parse_run(body, hint)
    after = observe(before, PollRun("run_1"), run, RunLimits(), now=0.0)
    assert Progress.from_json(after.to_json()).run == after.run


@given(
    st.fixed_dictionaries(
        {}, optional={"role": ANY_JSON, "run_id": ANY_JSON, "created_at": ANY_JSON, "content": ANY_JSON}
    )
)
def test_any_message_at_all_can_be_read(message):
    answers_of("run_1", [message], None)
    assert all(isinstance(block, dict) for block in blocks_of(message))


def test_the_functions_of_a_run_are_those_it_shows() -> None:
    weather = {"type": "function", "function": {"name": "weather"}}
    assert parse_run({"id": "run_1", "tools": [weather, {"type": "file_search"}, None]}).functions == ("weather",)
    assert parse_run({"id": "run_1", "tools": []}).functions == ()
    assert parse_run({"id": "run_1", "tools": []}).own_tools is None, "some servers show none, whatever a run has"
    assert parse_run({"id": "run_1", "tools": [{"type": "retrieval"}]}).own_tools == {"file_search"}
    assert parse_run({"id": "run_1"}).functions is None


def test_an_empty_list_of_a_response_says_nothing() -> None:
    """LiteLLM's bridge sends one, and passes the tools on all the same."""
    weather = {"type": "function", "name": "weather"}
    assert parse_response({"id": "resp_1", "tools": [weather, {"type": "web_search"}]}).functions == ("weather",)
    assert parse_response({"id": "resp_1", "tools": []}).functions is None
