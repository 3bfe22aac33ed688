"""Whether an answer is the JSON that was asked for, and how it is told if not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.answer.json_text import DEPTH_LIMIT
from threadmill_worker.answer.schema import PROBLEM_LIMIT, check

OBJECT = {"type": "json_object"}


def asking(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


PRICES = asking({"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
                 "required": ["items"],
                 "$defs": {"item": {"type": "object", "properties": {"price": {"type": "number"}}}}})  # fmt: skip


def problem_of(text: str, response_format: object) -> str:
    parsed, problem = check(text, response_format)
    assert parsed is None
    assert problem is not None
    assert len(problem) <= PROBLEM_LIMIT
    return problem


@pytest.mark.parametrize("other", [None, "auto", "json_object", {}, {"type": "text"}, {"type": 5}, []], ids=str)
def test_a_format_that_asks_for_no_json_checks_nothing(other: object) -> None:
    assert check("no JSON at all", other) == (None, None)


def test_an_answer_that_fits_comes_back_parsed() -> None:
    assert check('{"items": [{"price": 3.5}]}', PRICES) == ({"items": [{"price": 3.5}]}, None)
    assert check('{"a": "臺北"}', OBJECT) == ({"a": "臺北"}, None)


@pytest.mark.parametrize(
    "wrapped", ['```json\n{"a": 1}\n```', '\n ```\n{"a": 1}\n```  ', '```JSON \r\n{"a": 1}\r\n```']
)
def test_a_fence_around_it_is_accepted(wrapped: str) -> None:
    assert check(wrapped, OBJECT) == ({"a": 1}, None)


NOT_JSON = ["", "Here you are: {}", '{"a": 1} ok', "```json\n{}\n```\nDone.", "{'a': 1}"]
NO_RESULT_HOLDS = ['{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}', '"\\ud83d"']


@pytest.mark.parametrize("text", NOT_JSON + NO_RESULT_HOLDS)
def test_invalid_json_is_reported_as_such(text: str) -> None:
    assert problem_of(text, OBJECT).startswith("the answer is not JSON: ")


def test_json_mode_means_an_object() -> None:
    assert problem_of("[1]", OBJECT) == "the answer does not fit the schema: at $: [1] is not of type 'object'"


def test_a_schema_error_names_its_path() -> None:
    problem = problem_of('{"items": [{"price": 1}, {"price": "dear"}]}', PRICES)
    assert problem == "the answer does not fit the schema: at $.items[1].price: 'dear' is not of type 'number'"


def test_a_problem_stays_short_and_shows_several_errors() -> None:
    items = ", ".join(f'{{"price": "{"x" * 5000}"}}' for _ in range(50))
    assert problem_of(f'{{"items": [{items}]}}', PRICES).count("at $.items[") == 3


@pytest.mark.parametrize(
    "schema", [{"type": "objekt"}, {"properties": 5}, {"pattern": "("}, "object", 7, [], True], ids=str
)
def test_a_broken_schema_is_not_blamed_on_the_answer(schema: Any) -> None:
    assert problem_of("{}", asking(schema)).startswith("the schema of response_format is not valid: ")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "https://example.com/schema.json"}, "references are not fetched"),
        ({"$ref": "#/$defs/missing"}, "'/$defs/missing'"),
        ({"$ref": "#"}, "circular"),
        ({"$ref": "#/required", "required": ["a"]}, ""),
        ({"$ref": "http://["}, ""),
    ],
    ids=str,
)
def test_references_that_lead_nowhere_are_the_schemas_fault(schema: Any, told: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("socket.socket", None)  # a look outside would fail otherwise
    problem = problem_of("{}", asking(schema))
    assert problem.startswith("the schema of response_format is not valid: ")
    assert told in problem


def test_a_schema_without_a_body_asks_for_any_json() -> None:
    assert check("[1, 2]", {"type": "json_schema", "json_schema": {"name": "x"}}) == ([1, 2], None)
    assert check("[1, 2]", {"type": "json_schema"}) == ([1, 2], None)


@pytest.mark.parametrize("levels", [DEPTH_LIMIT + 1, 100_000])
def test_an_answer_too_deep_for_a_result_is_refused(levels: int) -> None:
    assert "levels deep" in problem_of("[" * levels + "]" * levels, asking({}))


def test_an_answer_just_deep_enough_is_not() -> None:
    assert check("[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT, asking({}))[1] is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["type", "json_schema", "schema", "$ref", "x"]), inner)
    ),
)


@given(st.text(), json_like)
def test_no_answer_and_no_format_makes_it_fail(text: str, response_format: Any) -> None:
    for asked in (response_format, asking(response_format)):
        parsed, problem = check(text, asked)
        assert problem is None or (parsed is None and len(problem) <= PROBLEM_LIMIT)
