"""Streams of Chat Completions, assembled to the completion that the server would have sent at once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.drivers.chat.chunks import Chunks
from threadmill_worker.drivers.chat.replies import parse_completion
from threadmill_worker.drivers.chat.thinking import Visible, split_thinking
from threadmill_worker.lifecycle.observations import ToolCall


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def piece(arguments: Any = None, *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


def assembled(*parts: dict[str, Any]) -> Chunks:
    chunks = Chunks()
    for each in parts:
        chunks.feed(each)
    return chunks


def calls(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    chunks = assembled(*(chunk(tool_calls=[each]) for each in pieces), chunk("stop"))
    return [(call.name, call.arguments) for call in parse_completion(chunks.body, "run-1").calls]


def test_a_text_is_put_together():
    chunks = Chunks()
    pieces = [chunk(role="assistant", content=""), chunk(content="4"), chunk(content="2"), chunk("stop")]
    assert [chunks.feed(each) for each in pieces] == ["", "4", "2", ""]
    assert chunks.is_finished

    chunks.feed({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    run = parse_completion(chunks.body, "run-1")
    assert (run.id, run.status, run.model) == ("run-1:c", "completed", "m")
    assert run.usage is not None
    assert run.usage.total_tokens == 3
    assert run.answer is not None
    assert run.answer.blocks[0]["text"]["value"] == "42"


def test_the_last_usage_counts_if_each_chunk_has_one():
    usages = [{"total_tokens": number} for number in (1, 2, 3)]
    chunks = assembled(*(chunk(content="a") | {"usage": usage} for usage in usages), chunk("stop") | {"usage": None})
    assert chunks.body["usage"] == {"total_tokens": 3}


def test_reasoning_and_refusals_are_put_together_and_are_no_answer():
    chunks = Chunks()
    for name in ("reasoning_content", "reasoning", "refusal"):
        assert chunks.feed(chunk(**{name: "a"})) == chunks.feed(chunk(**{name: "b"})) == ""
    message = chunks.body["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning"], message["refusal"]) == ("ab", "ab", "ab")


def test_without_a_reason_the_stream_is_not_finished():
    assert not assembled(chunk(content="42")).is_finished
    assert assembled({"error": {"message": "no luck"}}).is_finished


def test_an_error_within_a_stream_is_that_of_the_run():
    run = parse_completion(assembled(chunk(content="4"), {"error": {"message": "no luck", "code": 500}}).body, "run-1")
    assert (run.status, run.error_message) == ("failed", "no luck")


WEIGH, ADD = ("weigh", '{"a": 1}'), ("add", '{"b": 2}')


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # OpenAI: the first piece has the id and the name
        ((piece("", index=0, id="1", name="weigh"), piece('{"a"', index=0), piece(": 1}", index=0)), [WEIGH]),
        # each piece has the id and the name
        (
            (
                piece('{"a"', index=0, id="1", name="weigh"),
                piece(": 1}", index=0, id="1", name="weigh"),
            ),
            [WEIGH],
        ),
        # two calls, whose pieces alternate
        (
            (
                piece('{"a"', index=0, id="1", name="weigh"),
                piece('{"b"', index=1, id="2", name="add"),
                piece(": 1}", index=0),
                piece(": 2}", index=1),
            ),
            [WEIGH, ADD],
        ),
        # Gemini: whole calls without index
        ((piece('{"a": 1}', id="1", name="weigh"), piece('{"b": 2}', id="2", name="add")), [WEIGH, ADD]),
        # whole calls without index, with empty ids
        ((piece('{"a": 1}', id="", name="weigh"), piece('{"b": 2}', id="", name="add")), [WEIGH, ADD]),
        # gateways to Gemini: index 0 for each, ids or none
        (
            (piece('{"a": 1}', index=0, id="1", name="weigh"), piece('{"b": 2}', index=0, id="2", name="add")),
            [WEIGH, ADD],
        ),
        ((piece('{"a": 1}', index=0, name="weigh"), piece('{"a": 1}', index=0, name="weigh")), [WEIGH, WEIGH]),
        # pieces without index continue the last call
        ((piece('{"a"', id="1", name="weigh"), piece(": 1}"), piece('{"b": 2}', id="2", name="add")), [WEIGH, ADD]),
        # pieces without index that name their call
        (
            (
                piece('{"a"', id="1", name="weigh"),
                piece('{"b"', id="2", name="add"),
                piece(": 1}", id="1"),
                piece(": 2}", id="2"),
            ),
            [WEIGH, ADD],
        ),
        # an object instead of a text
        ((piece({"a": 1}, index=0, id="1", name="weigh"),), [WEIGH]),
        # no arguments at all
        ((piece(index=0, id="1", name="weigh"),), [("weigh", "")]),
    ],
)
def test_pieces_of_tool_calls_are_put_together(pieces, expected):
    assert calls(*pieces) == expected
    together = assembled(chunk(tool_calls=list(pieces)), chunk("tool_calls"))  # several in one chunk
    assert [(each.name, each.arguments) for each in parse_completion(together.body, "run-1").calls] == expected


def test_a_signature_that_comes_alone_belongs_to_the_last_call():
    chunks = assembled(
        chunk(tool_calls=[piece("{}", id="1", name="weigh")]),
        chunk(tool_calls=[{"extra_content": {"google": {"thought_signature": "abc"}}}]),
        chunk("stop"),
    )
    run = parse_completion(chunks.body, "run-1")
    assert run.calls == (ToolCall("1", "weigh", "{}"),)
    assert run.items[0]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "abc"}}


@given(st.lists(st.tuples(st.sampled_from(["weigh", "add"]), st.dictionaries(st.text(), st.integers())), max_size=4))
def test_calls_in_any_pieces_are_the_same(wanted):
    texts = [(name, json.dumps(arguments)) for name, arguments in wanted]
    pieces = []
    for index, (name, text) in enumerate(texts):
        pieces.append(piece("", index=index, id=f"call_{index}", name=name))
        pieces += [piece(character, index=index) for character in text]
    assert calls(*pieces) == texts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("42", "42"),
        ("<think>6 * 7</think>\n\n42", "42"),
        ("\n <think></think> 42 ", "42 "),
        ("<thin", ""),
        ("<b>42</b>", "<b>42</b>"),
        ("<think>6 * 7", ""),
        ("", ""),
    ],
)
def test_pieces_show_the_answer_without_reasoning_wherever_they_are_cut(text, shown):
    visible = Visible()
    assert "".join(map(visible.feed, text)) == visible_at_once(text) == shown


def visible_at_once(text: str) -> str:
    return Visible().feed(text)


@given(st.text())
def test_a_text_without_tags_is_an_answer(text):
    plain = text.replace("<", "")
    assert split_thinking(plain) == ("", plain)
    assert "".join(map(Visible().feed, plain)) == (plain if plain.strip() else "")
