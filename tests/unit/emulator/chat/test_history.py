"""The messages of a request, read as a prompt and as rounds of tool calls."""

from typing import Any

from threadmill_emulator.chat import history
from threadmill_emulator.schemas.chat import CreateCompletion, Message
from threadmill_emulator.storage.files import Files

FILES = Files(lambda: 0.0)
USER = {"role": "user", "content": "Question"}
ANSWER = {"role": "assistant", "content": "Answer"}


def read(*messages: dict[str, Any]) -> list[Message]:
    return CreateCompletion.model_validate({"model": "m", "messages": list(messages)}).messages


def calls(*ids: str) -> dict[str, Any]:
    listed = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": "I look.", "tool_calls": listed}


def output(id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}


def outputs(*messages: dict[str, Any]) -> list[list[str | None]]:
    return [[call.output for call in each.calls] for each in history.rounds(read(*messages))]


def test_a_message_with_calls_ends_no_turn():
    messages = read(USER, ANSWER, {"role": "user", "content": "Again"}, calls("a"), output("a", "found"))
    assert history.prompt(messages, FILES).text == "Again"


def test_the_prompt_is_all_that_the_user_said_since_the_answer():
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    messages = read(USER, ANSWER, {"role": "user", "content": parts}, {"role": "user", "content": "Three"})
    assert history.prompt(messages, FILES).text == "One\n\nTwo\n\nThree"


def test_each_message_with_calls_is_a_round():
    assert outputs(USER, calls("a", "b"), output("b", "2"), output("a", "1"), calls("c"), output("c", "3")) == [
        ["1", "2"],
        ["3"],
    ]


def test_ids_may_repeat():
    assert outputs(USER, calls("a", "a"), output("a", "1"), output("a", "2"), calls("a"), output("a", "3")) == [
        ["1", "2"],
        ["3"],
    ]


def test_calls_of_earlier_turns_are_no_rounds():
    assert outputs(USER, calls("a"), output("a", "1"), ANSWER, USER) == []


def test_an_output_without_a_call_is_passed_over():
    assert outputs(USER, output("a", "1")) == []


def test_only_the_outputs_at_the_end_are_new():
    asked = read(USER, calls("a"), output("a", "1"), calls("b", "c"), output("b", "2"), output("c", "3"))
    assert sorted(history.new_outputs(asked)) == ["b", "c"]
    assert history.new_outputs(read(USER, calls("a"), output("a", "1"), ANSWER, USER)) == []


def test_instructions_and_outputs_are_not_recalled():
    said = history.earlier(read({"role": "system", "content": "Be brief."}, USER, calls("a"), output("a", "1"), ANSWER))
    assert said == ("Question", "I look.", "Answer")
