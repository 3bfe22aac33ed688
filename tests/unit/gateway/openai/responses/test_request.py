"""POST /v1/responses: every parameter becomes a field of the job, or is refused by its name."""

import pytest

from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.responses.request import read_request

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture
def read(settings):
    return lambda **body: read_request({"model": "gpt-5", "input": "Hello", **body}, settings)


@pytest.fixture
def refused(read):
    """The error of a request with these fields."""

    def error(**body):
        with pytest.raises(ApiError) as refusal:
            read(**body)
        assert refusal.value.status == 400
        return refusal.value.error

    return error


def test_the_least_request(read):
    request = read()

    assert request.job.conversation[0].text == "Hello"
    assert (request.job.endpoint, request.job.model) == ("openai", "gpt-5")
    assert request.job.keep_thread is request.job.stream is request.background is request.stream is False


def test_parameters_become_fields(read):
    request = read(
        instructions="Be brief.",
        temperature=1,
        top_p=0.5,
        max_output_tokens=100,
        parallel_tool_calls=False,
        metadata={"a": "b"},
        tool_choice="required",
        truncation="auto",
        service_tier="flex",
        store=True,
        background=True,
        stream=True,
        previous_response_id="resp_1",
    )
    job = request.job

    assert job.instructions == "Be brief."
    assert (job.temperature, job.top_p, job.max_completion_tokens) == (1, 0.5, 100)
    assert job.parallel_tool_calls is False
    assert job.metadata == {"a": "b"}
    assert job.tool_choice == "required"
    assert job.truncation == {"type": "auto"}
    assert job.lane == "flex"
    assert job.keep_thread
    assert job.stream
    assert request.background
    assert request.stream
    assert request.previous_response_id == "resp_1"


def test_values_that_openai_documents_as_defaults_change_nothing(read):
    request = read(
        background=False,
        conversation=None,
        include=[],
        parallel_tool_calls=True,
        prompt=None,
        reasoning={"effort": None, "summary": None},
        service_tier="auto",
        stream_options={"include_obfuscation": False},
        text={"format": {"type": "text"}, "verbosity": "medium"},
        tool_choice="auto",
        top_logprobs=0,
        truncation="disabled",
        user=None,
    )

    assert request.job.model_dump(exclude_defaults=True).keys() == {
        "endpoint",
        "messages",
        "model",
        "parallel_tool_calls",
        "tool_choice",
    }


@pytest.mark.parametrize("tier", ["priority", "fast"])
def test_the_faster_tier_has_two_names(read, tier):
    job = read(service_tier=tier).job
    assert (job.service_tier, job.lane) == ("priority", None)


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("conversation", "conv_1", "conversation"),
        ("include", ["reasoning.encrypted_content"], "include"),
        ("max_tool_calls", 3, "max_tool_calls"),
        ("prompt", {"id": "pmpt_1"}, "prompt"),
        ("prompt_cache_key", "k", "prompt_cache_key"),
        ("reasoning", {"effort": "low"}, "reasoning.effort"),
        ("safety_identifier", "u", "safety_identifier"),
        ("service_tier", "scale", "service_tier"),
        ("text", {"verbosity": "low"}, "text.verbosity"),
        ("text", {"format": {"type": "grammar"}}, "text.format"),
        ("tool_choice", {"type": "allowed_tools"}, "tool_choice.type"),
        ("tool_choice", "any", "tool_choice"),
        ("tools", [{"type": "mcp"}], "tools[0].type"),
        ("tools", [{"type": "function", "name": "mine"}], "tools[0].name"),
        ("tools", [{"type": "function", "name": "weather", "parameters": SCHEMA}], "tools[0].parameters"),
        ("top_logprobs", 2, "top_logprobs"),
        ("user", "u", "user"),
        ("anything_else", 0, "anything_else"),
    ],
)
def test_what_no_job_can_have_is_refused(refused, field, value, param):
    error = refused(**{field: value})

    assert error["param"] == param
    assert error["code"] == "unsupported_parameter"
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("model", None, "model"),
        ("model", 5, "model"),
        ("input", None, "input"),
        ("input", [], "input"),
        ("input", 1, "input"),
        ("input", "", "input[0].content"),
        ("input", [{"role": "user"}], "input[0].content"),
        ("input", [{"content": "x"}], "input[0].role"),
        ("input", [{"role": "tool", "content": "x"}], "input[0].role"),
        ("stream", "yes", "stream"),
        ("temperature", 3, "temperature"),
        ("max_output_tokens", 0, "max_output_tokens"),
        ("metadata", {"a": 1}, "metadata"),
        ("truncation", "some", "truncation"),
    ],
)
def test_wrong_values_are_refused(refused, field, value, param):
    assert refused(**{field: value})["param"] == param


def test_items_become_messages(read):
    job = read(
        input=[
            {"role": "system", "content": "You are a clerk."},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"role": "user", "content": "Hi"},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "phase": None,
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
                    {"type": "input_image", "file_id": "file-1"},
                ],
            },
        ]
    ).job

    assert job.additional_instructions == "You are a clerk.\n\nBe brief."
    assert [(message.role, message.text) for message in job.conversation] == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "What is this?"),
    ]
    assert job.conversation[2].images == ("https://x.example/a.png",)
    assert job.conversation[2].file_ids == ("file-1",)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "function_call_output", "call_id": "c", "output": "x"}, "input[1].type"),
        ({"type": "item_reference", "id": "x"}, "input[1].type"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[1].content[0].type"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input[1].content[0].type"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "/etc/x"}]},
            "input[1].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[1].content[0].image_url"),
        ({"role": "system", "content": "late"}, "input[1].role"),
        ({"role": "user", "content": "x", "phase": "commentary"}, "input[1].phase"),
        ({"role": "user", "content": "x", "name": "Bob"}, "input[1].name"),
    ],
)
def test_items_without_a_counterpart_are_refused(refused, item, param):
    assert refused(input=[{"role": "user", "content": "Hi"}, item])["param"] == param


def test_a_schema_is_nested_as_in_a_job(read):
    form = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True, "description": None}

    assert read(text={"format": form}).job.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": SCHEMA, "strict": True},
    }


def test_tools_are_those_of_the_workers_and_of_the_server(read):
    search = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    job = read(
        tools=[
            {"type": "function", "name": "weather", "parameters": None, "strict": True},
            {"type": "function", "name": "files__read"},
            search,
        ],
        tool_choice={"type": "function", "name": "weather"},
    ).job

    assert job.tools == ("weather", "files__read", search)
    assert job.tool_choice == {"type": "function", "function": {"name": "weather"}}


def test_an_assistant_has_the_tools_of_its_server(read, refused):
    assert read(model="azure", tools=[{"type": "code_interpreter", "container": {"type": "auto"}}]).job.tools == (
        "code_interpreter",
    )
    assert refused(model="azure", tools=[{"type": "web_search"}])["param"] == "tools[0].type"
    assert refused(model="davinci", tools=[{"type": "file_search"}])["param"] == "tools[0].type"
    stores = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    assert refused(model="azure", tools=[stores])["param"] == "tools[0].vector_store_ids"
