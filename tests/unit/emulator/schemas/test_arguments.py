"""Function arguments are made up from the prompt so that they fit the declared schema."""

import json

from threadmill_emulator.content.messages import Prompt
from threadmill_emulator.runs.tool_calls import make_calls
from threadmill_emulator.schemas.arguments import fitting
from threadmill_emulator.scripting.scenarios import SCENARIOS

#: As DaVinci documents its SEARCH: objects inside objects.
SEARCH = {
    "type": "object",
    "properties": {
        "query": {
            "type": "object",
            "properties": {
                "q": {"type": "string"},
                "mkt": {"type": "string", "enum": ["zh-TW", "en-US"]},
            },
            "required": ["q", "mkt"],
        },
        "topk": {"type": "string"},
    },
    "required": ["query", "topk"],
}


def test_nested_objects_enums_and_strings():
    assert fitting(SEARCH, "herons in en-US") == {
        "query": {"q": "herons in en-US", "mkt": "en-US"},
        "topk": "herons in en-US",
    }


def test_numbers_come_from_the_prompt_and_stay_within_bounds():
    integer = {"type": "integer", "minimum": 1, "maximum": 5}
    assert fitting(integer, "the 3 best") == 3
    assert fitting(integer, "the 42 best") == 5
    assert fitting(integer, "the best") == 1
    assert fitting({"type": "number"}, "costs 2.5 euros") == 2.5


def test_every_other_kind_of_schema():
    text = "hello  world"
    assert fitting({"type": "array", "items": {"type": "string"}, "minItems": 2}, text) == ["hello world"] * 2
    assert fitting({"type": "boolean"}, text) is True
    assert fitting({"type": "null"}, text) is None
    assert fitting({"type": ["null", "string"]}, text) == "hello world"
    assert fitting({"const": 7}, text) == 7
    assert fitting({"anyOf": [{"type": "null"}, {"type": "integer"}]}, text) == 1
    assert fitting({"type": "string", "maxLength": 4}, text) == "hell"
    assert fitting({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "4") == 4
    assert fitting({"properties": {"a": {}}}, "x") == {"a": "x"}


def test_calls_of_a_run_differ():
    calls = make_calls(SCENARIOS["parallel_tools"], [], Prompt("herons"), 0)
    assert [call.name for call in calls] == ["SEARCH"] * 3
    assert len({call.arguments for call in calls}) == 3
    assert len({call.id for call in calls}) == 3


def test_declared_functions_are_called_in_turn():
    tools = [
        {"type": "file_search"},
        {"type": "function", "function": {"name": "a", "parameters": SEARCH}},
        {"type": "function", "function": {"name": "b"}},
    ]
    calls = make_calls(SCENARIOS["parallel_tools"], tools, Prompt("herons"), 0)
    assert [call.name for call in calls] == ["a", "b", "a"]
    assert json.loads(calls[0].arguments)["query"]["q"] == "herons"
    assert json.loads(calls[1].arguments) == {}
