"""What the replies to the prompts of a check show, as real servers send them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.admin.discovery import replies
from threadmill_worker.drivers.http.exchange import Reply
from threadmill_worker.drivers.replies.paths import has_list, has_path

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "tool_calls", "usage", "output", "data", "error", "type", "id"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def ok(body):
    return Reply(200, json.dumps(body), "application/json")


def chat(finish="stop", usage=None, **message):
    return ok({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})


def message(text):
    return ok(
        {"status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}]}
    )


@pytest.mark.parametrize(
    ("reply", "heeds"),
    [
        (chat("length", {"completion_tokens": 99}), True),
        (chat("stop", {"completion_tokens": 16}), True),
        (chat("stop", {"completion_tokens": 140}), False),
        (chat("stop", None), None),
        (chat("stop", {"completion_tokens": None}), None),
    ],
)
def test_a_limit_is_heeded_if_the_answer_is_no_longer(reply, heeds):
    assert replies.heeds_limit(reply, 16) is heeds


@pytest.mark.parametrize(
    ("reply", "keeps"),
    [
        (chat(content='{"colour": "blue"}'), True),
        (chat(content='<think>Hm. {"a"}</think>\n\n{"colour": "blue"}'), True),
        (chat(content='Hm.</think>{"colour": "blue"}'), True),  # the template wrote the opening tag
        (chat(content=[{"type": "text", "text": '{"colour": "blue"}'}]), True),
        (message('{"colour": "blue"}'), True),
        (chat(content="It is blue."), False),
        (chat(content='{"answer": "blue"}'), False),
        (chat("length", content='{"col'), None),
        (Reply(400, '{"error": {"message": "response_format is not supported"}}'), False),
        (Reply(503, ""), None),
        (Reply(429, ""), None),
        (Reply(200, "<html>"), None),
    ],
)
def test_a_schema_is_kept_if_the_answer_has_its_form(reply, keeps):
    assert replies.keeps_schema(reply) is keeps


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        (chat(tool_calls=[{"function": {"name": "current_weather"}}]), True),
        (ok({"output": [{"type": "reasoning"}, {"type": "function_call"}]}), True),
        (chat(content="It is sunny."), None),
        (Reply(400, '{"message": "\\"auto\\" tool choice requires --enable-auto-tool-choice"}'), False),
        (Reply(500, "tools"), None),
        (Reply(500, '{"error": {"message": "tools are not supported by this model"}}'), False),
    ],
)
def test_a_function_is_called_or_refused(reply, calls):
    assert replies.calls_function(reply) is calls


def test_a_limit_that_a_model_has_thought_away_is_heeded():
    said = "Could not finish the message because max_tokens or model output limit was reached. Please try again."
    reply = Reply(400, json.dumps({"error": {"message": said}}))
    assert (replies.heeds_limit(reply, 16), replies.accepts(reply)) == (True, None)
    assert not replies.names(reply, "max_completion_tokens")


def test_an_error_with_status_200_is_no_answer():
    assert not replies.is_answered(ok({"error": {"message": "no"}, "choices": [{"message": {}}]}))
    assert replies.accepts(ok({"error": {"message": "no"}})) is None


def test_a_stream_is_read_to_its_end_also_without_a_blank_line():
    sent = (
        ': hello\r\n\r\ndata: {"choices": [{"delta": {}}]}\r\n\r\ndata: {"choices": [], "usage": {"total_tokens": 3}}'
    )
    events = replies.stream_of(Reply(200, sent, "text/event-stream; charset=utf-8"))
    assert (replies.has_text(events), replies.has_usage(events), len(events)) == (True, True, 2)
    assert replies.stream_of(Reply(200, sent, "application/json")) == []
    assert replies.id_of([{"type": "response.created", "response": {"id": "resp_1"}}]) == "resp_1"


@given(ANY, st.sampled_from([200, 201, 302, 400, 401, 404, 405, 422, 429, 500, 503]), st.booleans())
def test_no_reply_breaks_a_judge(body, status, is_json):
    text = json.dumps(body) if is_json else str(body)
    reply = Reply(status, text, "text/event-stream" if not is_json else "application/json")
    for judge in (replies.is_answered, replies.accepts, replies.calls_function, replies.keeps_schema):
        assert judge(reply) in (True, False, None)
    assert replies.heeds_limit(reply, 16) in (True, False, None)
    events = replies.stream_of(reply)
    assert replies.has_text(events) in (True, False)
    assert replies.id_of(events) is None or isinstance(replies.id_of(events), str)
    replies.error_in_stream(events)
    assert has_path("POST", "/responses", status, text) in (True, False, None)
    assert has_list(status, text) in (True, False, None)
