"""Validation is jsonschema's own, but for the time that hostile schemas and values take."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from threadmill.job.json.patterns import matches
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.tools import HttpSettings
from threadmill_worker.answer.schema import check
from threadmill_worker.answer.validation import TooMuchWork, first_errors
from threadmill_worker.lifecycle.observations import ToolCall
from threadmill_worker.tools.executor import ToolExecutor
from threadmill_worker.tools.http import HttpTool, connect
from threadmill_worker.tools.registry import ToolRegistry

#: Python's engine takes 2**40 steps for the one on the other.
EVIL, FATAL = "^(a+)+$", "a" * 40 + "!"

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def doubling(levels: int) -> dict[str, Any]:
    """Each definition refers twice to the next."""
    definitions = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": EVIL}, FATAL),
        ({"patternProperties": {EVIL: False}, "additionalProperties": False}, {FATAL: 1}),
        ({"additionalProperties": False, "patternProperties": {EVIL: {}}}, {FATAL: 1}),
        ({"properties": {"a": {"$schema": DIALECT, "pattern": EVIL}}}, {"a": FATAL}),
        ({"$schema": DIALECT, "pattern": EVIL, "properties": {"a": {"$ref": "#"}}}, {"a": FATAL}),
    ],
)
def test_a_pattern_that_backtracks_takes_no_time(schema, value):
    assert len(first_errors(schema, value, 3)) == 1


def test_unique_items_are_not_compared_each_with_each():
    items = [{"number": number} for number in range(20_000)]
    assert first_errors({"uniqueItems": True}, items, 3) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40), {}),
        ({"pattern": "(.{1,30}a){30}b"}, "a" * 10_000_000),
        ({"allOf": [{"items": True}] * 1000}, [1] * 10_000),
    ],
    ids=["references", "pattern", "items"],
)
def test_validation_stops_after_too_many_steps(schema, value):
    with pytest.raises(TooMuchWork, match="more than 200000 steps"):
        first_errors(schema, value, 3)


def test_an_answer_that_takes_too_many_steps_is_an_invalid_one():
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": doubling(40)}}
    parsed, problem = check("{}", asked)
    assert parsed is None
    assert str(problem).startswith("the answer cannot be checked: validation takes more than")


@pytest.mark.parametrize(
    ("parameters", "arguments", "told"),
    [({"properties": {"a": {"pattern": EVIL}}}, {"a": FATAL}, "do not fit"), (doubling(40), {}, "cannot be checked")],
)
async def test_arguments_of_a_tool_are_bounded_too(parameters, arguments, told):
    settings = HttpSettings(url="http://127.0.0.1:9/x", parameters={"type": "object", **parameters})
    endpoint = Endpoint.model_validate({"kind": "assistants", "base_url": "http://127.0.0.1:9"})
    async with connect() as http:
        executor = ToolExecutor(ToolRegistry({"t": HttpTool("t", settings, http)}), endpoint, None)
        output = await executor.call(ToolCall("c", "t", json.dumps(arguments)), "thread", "assistant", 5)
        await executor.close()
    assert f"the arguments {told}" in output.output


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\u81fa\u5317$", "臺北", True),
        (r"^\u{81fa}$", "臺", True),
        (r"^\\u0041$", r"\u0041", True),
        (r"^a\/b\-$", "a/b-", True),
        (r"^a$", "a\n", False),
        (r"^(?<year>\d{4})-", "2026-11", True),
        (r"^.$", "\ud83d", True),
    ],
)
def test_patterns_are_those_of_json_schema(pattern, text, found):
    assert matches(pattern, text) is found


patterns = st.sampled_from(["^a", "b$", "a+b?", "[ab]{2}", r"\d"])
texts = st.text("ab1", max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 1.5]) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)
schemas = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"pattern": patterns, "uniqueItems": st.booleans()}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(texts, inner, max_size=2),
            "patternProperties": st.dictionaries(patterns, inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "uniqueItems": st.booleans(),
        },
    ),
)


@given(schemas, values)
def test_results_and_paths_are_those_of_jsonschema(schema, value):
    expected = [error.json_path for error in Draft202012Validator(schema).iter_errors(value)]
    assert [error.json_path for error in first_errors(schema, value, 1000)] == expected
