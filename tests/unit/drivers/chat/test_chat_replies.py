"""What a reply of Chat Completions shows, in the forms of servers that are not OpenAI's."""

from typing import Any

import pytest

from threadmill.job.result import Usage
from threadmill_worker.drivers.chat.replies import parse_completion
from threadmill_worker.drivers.replies.json import NotTheApi
from threadmill_worker.lifecycle.observations import RunObservation, ToolCall


def completion(message: dict[str, Any] | None = None, reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **(message or {"content": "42"})}}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], **fields}


def call(id: Any = "call_1", arguments: Any = '{"a": 1}', name: str = "weigh", **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def calling(*calls: dict[str, Any], reason: Any = "tool_calls", **fields: Any) -> dict[str, Any]:
    return completion({"content": None, "tool_calls": list(calls), **fields}, reason)


def parsed(body: dict[str, Any], taken: tuple[str, ...] = ()) -> RunObservation:
    return parse_completion(body, "run-1", taken)


def answer(run: RunObservation) -> str:
    assert run.answer is not None
    return "|".join(
        block["text"]["value"] if block["type"] == "text" else f"refused: {block['refusal']}"
        for block in run.answer.blocks
    )


def test_a_completion_is_a_run_that_has_ended_with_its_answer():
    run = parsed(completion(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, service_tier="flex"))

    assert (run.id, run.status, run.model, run.tier) == ("run-1:chatcmpl-1", "completed", "m", "flex")
    assert run.is_call
    assert run.is_round
    assert not run.is_kept
    assert run.kind is None
    assert run.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert answer(run) == "42"


@pytest.mark.parametrize("id", [None, "", 7])
def test_a_completion_without_a_usable_id_has_the_name_of_its_call(id):
    assert parsed(completion(id=id)).id == "run-1"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({}, "42"),  # as `completion` fills it in
        ({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]}, "42"),
        ({"content": None, "refusal": "No."}, "refused: No."),
        ({"content": "", "refusal": None}, ""),
        ({"content": "42", "reasoning_content": "6 * 7"}, "42"),
        ({"content": "<think>6 * 7</think>\n\n42"}, "42"),
        ({"content": "\n<think>\n</think>42"}, "42"),
        ({"content": "6 * 7\n</think>\n\n42"}, "42"),  # the template wrote the opening tag
        ({"content": "Write <think> and </think>."}, "Write <think> and </think>."),
    ],
)
def test_the_answer_is_the_content_without_reasoning(message, text):
    assert answer(parsed(completion(message))) == text


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"content": "42", "reasoning_content": "6 * 7"}, "6 * 7"),
        ({"content": "42", "reasoning": "6 * 7"}, "6 * 7"),
        ({"content": "<think>6 * 7</think>42"}, "6 * 7"),
        ({"content": "<think>6 * "}, "6 *"),  # cut by the limit of tokens
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "6 * 7"}]},
                    {"type": "text", "text": "42"},
                ]
            },
            "6 * 7",
        ),
    ],
)
def test_reasoning_is_a_step(message, reasoning):
    assert parsed(completion(message)).steps == ({"type": "reasoning", "text": reasoning},)


@pytest.mark.parametrize(
    ("reason", "status", "incomplete"),
    [
        ("stop", "completed", None),
        (None, "completed", None),
        ("eos_token", "completed", None),  # TGI
        ("length", "incomplete", "max_completion_tokens"),
        ("model_length", "incomplete", "max_completion_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_the_status_follows_the_finish_reason(reason, status, incomplete):
    run = parsed(completion(reason=reason))
    assert (run.status, run.incomplete_reason) == (status, incomplete)
    assert answer(run) == "42"


@pytest.mark.parametrize("reason", ["tool_calls", "stop", "function_call", None])
def test_tool_calls_count_whatever_the_finish_reason(reason):
    run = parsed(calling(call(), reason=reason))

    assert run.status == "requires_action"
    assert run.calls == (ToolCall("call_1", "weigh", '{"a": 1}'),)
    assert run.items == ({"role": "assistant", "content": None, "tool_calls": [call()]},)
    assert run.steps == ({"type": "function", "name": "weigh", "arguments": '{"a": 1}', "call_id": "call_1"},)
    assert run.answer is None


def test_tool_calls_that_the_limit_of_tokens_cut_do_not_count():
    run = parsed(calling(call(arguments='{"a'), reason="length"))
    assert (run.status, run.calls) == ("incomplete", ())


@pytest.mark.parametrize("id", [None, "", "call_1"])
def test_ids_of_calls_are_different_from_all_others_of_the_job(id):
    run = parsed(calling(call(id), call(id), call("call_2")), taken=("call_1", "call_2", "call00003"))

    ids = [each.id for each in run.calls]
    assert len({*ids, "call_1", "call_2", "call00003"}) == 6
    assert all(len(each) == 9 and each.isalnum() for each in ids)
    assert [each["id"] for each in run.items[0]["tool_calls"]] == ids


@pytest.mark.parametrize(
    ("arguments", "text"), [({"a": 1}, '{"a": 1}'), (None, "{}"), ("", ""), ("not JSON", "not JSON")]
)
def test_arguments_are_a_text(arguments, text):
    assert parsed(calling(call(arguments=arguments))).calls[0].arguments == text


def test_an_old_function_call_is_a_tool_call():
    run = parsed(completion({"content": None, "function_call": {"name": "weigh", "arguments": "{}"}}, "function_call"))
    assert [(each.name, each.arguments) for each in run.calls] == [("weigh", "{}")]


def test_what_gemini_requires_back_is_repeated_and_reasoning_is_not():
    signature = {"google": {"thought_signature": "abc"}}
    run = parsed(calling(call(extra_content=signature), reasoning_content="Hm.", content="<think>Hm.</think>I weigh."))

    assert run.items[0] == {
        "role": "assistant",
        "content": "I weigh.",
        "tool_calls": [call(extra_content=signature)],
    }


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"message": "no luck", "code": 502}}, "502", "no luck"),
        ({"id": "1", "choices": [], "error": {"message": "no luck"}}, None, "no luck"),
        ({"error": "no luck"}, None, "no luck"),
        (completion(reason="error"), None, "the server ended the answer: error"),
        (completion(reason="abort"), None, "the server ended the answer: abort"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "busy"}}]}, "429", "busy"),
    ],
)
def test_an_error_with_status_200_is_a_failed_run(body, code, message):
    run = parsed(body)
    assert (run.status, run.error_code, run.error_message, run.is_call) == ("failed", code, message, True)


def test_a_reply_without_a_choice_is_an_empty_answer():
    run = parsed({"id": "1", "choices": []})
    assert (run.status, answer(run)) == ("completed", "")


@pytest.mark.parametrize("body", [{}, {"id": "1"}, {"choices": None}, {"object": "list", "data": []}])
def test_a_reply_without_choices_is_not_from_the_api(body):
    with pytest.raises(NotTheApi):
        parsed(body)


@pytest.mark.parametrize(
    ("usage", "seen"),
    [
        (None, None),
        ([], None),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, Usage()),
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)),
    ],
)
def test_usage_may_be_missing_or_incomplete(usage, seen):
    assert parsed(completion(usage=usage)).usage == seen


def test_citations_of_pages_are_kept():
    note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}
    run = parsed(completion({"content": "42", "annotations": [note]}))
    assert run.answer is not None
    assert run.answer.blocks[0]["text"]["annotations"] == [note]
