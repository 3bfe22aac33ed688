"""Requests for chat completions that are refused."""

from typing import Any

import httpx
import pytest
from tests.integration.emulator.test_chat import LOOK_UP, user

from threadmill_emulator.scripting.options import Options

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.01)

CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
OUTPUT = {"role": "tool", "tool_call_id": "call_1", "content": "found"}
NOT_STRICT = {"type": "object", "properties": {"word": {"type": "string"}}}


def refused(http: httpx.Client, **body: Any) -> Any:
    reply = http.post("/chat/completions", json={"model": "m", "messages": [user("x")]} | body)
    assert reply.status_code == 400, reply.text
    return reply.json()["error"]


@pytest.mark.parametrize(
    ("messages", "param", "says"),
    [
        ([], "messages", "empty array"),
        ([{"role": "robot", "content": "x"}], "messages[0].role", "Invalid value: 'robot'"),
        ([{"content": "x"}], "messages[0].role", "Missing"),
        ([{"role": "user"}], "messages[0].content", "Missing"),
        ([user("x"), OUTPUT], "messages.[1].role", "must be a response to a preceeding message"),
        ([user("x"), CALLS], "messages.[2].role", "did not have response messages: call_1"),
        ([user("x"), CALLS, user("y")], "messages.[2].role", "did not have response messages: call_1"),
        ([user("x"), CALLS, OUTPUT | {"tool_call_id": "call_2"}], "messages.[2].tool_call_id", "'call_2' not found"),
        ([user("x"), CALLS, OUTPUT, user("y"), OUTPUT], "messages.[4].role", "must be a response"),
        ([{"role": "assistant"}], "messages.[0].content", "expected a string, got null"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id", "Missing"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text", "Missing"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x.png"}}]}],
            "messages[0].content[0].image_url.url",
            "valid URL",
        ),
        (
            [{"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "file-1"}}]}],
            "messages[0].content[0].type",
            "Invalid value: 'image_file'",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            "messages[0].content[0].file.file_id",
            "No such File object",
        ),
    ],
)
def test_messages(http: httpx.Client, messages: Any, param: str, says: str):
    error = refused(http, messages=messages)
    assert error["param"] == param
    assert says in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"instructions": "x"}, "instructions"),
        ({"model": None}, "model"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"seed": "one"}, "seed"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"max_tokens": 5, "model": "o3-mini"}, "max_tokens"),
        ({"max_tokens": 5, "model": "gpt-5"}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [LOOK_UP], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": NOT_STRICT}}]},
            "tools[0].function.parameters",
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        ({"response_format": {"type": "json_object"}}, "messages"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "word", "strict": True, "schema": NOT_STRICT},
                }
            },
            "response_format",
        ),
        ({"service_tier": "slow"}, "service_tier"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
    ],
)
def test_fields(http: httpx.Client, fields: dict[str, Any], param: str):
    assert refused(http, **fields)["param"] == param


def test_a_wrong_marker_starts_nothing(http: httpx.Client):
    assert refused(http, messages=[user("[[scenario=unheard]] x")])["code"] == "unknown_scenario"


def test_no_key(http: httpx.Client):
    assert http.post("/chat/completions", json={}, headers={"Authorization": ""}).status_code == 401
