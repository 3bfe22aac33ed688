"""Request files of OpenAI's Batch API: the jobs of requests, and unsupported fields."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill import Client, Settings
from threadmill.batch.job_builder import JobBuilder
from threadmill.batch.results import ResultsFile, read_lines
from threadmill.documents.bodies import to_job_fields
from threadmill.documents.errors import BadDocument
from threadmill.documents.requests import RequestDocuments
from threadmill.documents.template import PromptTemplate
from threadmill.errors import InvalidJob, ThreadmillError
from threadmill.export.export import Format, export
from threadmill.job.prompt import PromptJob

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
UNUSED = PromptTemplate("")


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "requests.jsonl"

    def write(*lines):
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return RequestDocuments([path])

    return write


def request(url: str = CHAT, custom_id: str = "r-1", **body):
    if url == CHAT and "messages" not in body:
        body["messages"] = [{"role": "user", "content": "Well?"}]
    if url == RESPONSES and "input" not in body:
        body["input"] = "Well?"
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": "m", **body}}


@pytest.fixture
def job(requests):
    def ask(url: str = CHAT, **body) -> PromptJob:
        [document] = requests(request(url, **body))
        return PromptJob.parse(document.job_fields(UNUSED))

    return ask


def test_a_chat_completion_becomes_a_job(job):
    asked = job(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Un", "refusal": None, "tool_calls": []},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                ],
            },
        ],
        temperature=0.5,
        top_p=0.9,
        max_tokens=300,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        metadata={"a": "b"},
    )
    assert asked.instructions == "Be brief.\n\nIn French."
    assert [(each.role, each.content) for each in asked.messages[:2]] == [("user", "One"), ("assistant", "Un")]
    assert asked.messages[2].model_dump()["content"] == (
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    )
    assert (asked.model, asked.temperature, asked.top_p, asked.max_completion_tokens) == ("m", 0.5, 0.9, 300)
    assert asked.response_format["json_schema"]["name"] == "a"
    assert asked.tools == ({"type": "function", "function": {"name": "f", "parameters": {}}},)
    assert asked.tool_choice["function"] == {"name": "f"}
    assert (asked.parallel_tool_calls, asked.metadata) == (False, {"a": "b"})


def test_a_response_becomes_a_job(job):
    asked = job(
        RESPONSES,
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "In French."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One"}]},
            {
                "id": "msg_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Un"}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
                    {"type": "input_image", "file_id": "file-1"},
                ],
            },
        ],
        max_output_tokens=300,
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        tools=[{"type": "function", "name": "f", "parameters": {}}],
        tool_choice={"type": "function", "name": "f"},
        truncation="auto",
    )
    assert asked.instructions == "Be brief.\n\nIn French."
    assert [each.role for each in asked.messages] == ["user", "assistant", "user"]
    assert asked.messages[2].model_dump()["content"] == (
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}},
    )
    assert asked.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
    }
    assert asked.tools == ({"type": "function", "function": {"name": "f", "parameters": {}}},)
    assert asked.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert (asked.max_completion_tokens, asked.truncation) == (300, {"type": "auto"})


@pytest.mark.parametrize("url", [CHAT, RESPONSES])
def test_a_service_tier_decides_the_price(job, url):
    lanes = {tier: job(url, service_tier=tier) for tier in ("default", "flex", "priority", "fast")}
    assert {tier: each.priced_as for tier, each in lanes.items()} == {
        "default": None,
        "flex": "flex",
        "priority": "priority",
        "fast": "priority",
    }
    assert lanes["fast"].service_tier == "priority"


def test_a_seed_is_one_of_chat_completions(job):
    assert job(CHAT, seed=7).seed == 7


def test_fields_without_effect_are_accepted(job):
    plain = job()
    indifferent = {"n": 1, "stream": False, "store": True, "user": "u", "presence_penalty": 0.0, "frequency_penalty": 0}
    assert job(**indifferent, seed=None, logprobs=False, service_tier="auto", tools=[], stop=None) == plain
    assert job(RESPONSES, background=True, store=False, include=[], text=None) == plain


@pytest.mark.parametrize(
    ("url", "body", "names"),
    [
        (CHAT, {"verbosity": "low"}, "has the unsupported field 'verbosity'; remove it"),
        (RESPONSES, {"seed": 7}, "has the unsupported field 'seed'; remove it"),
        (CHAT, {"n": 2, "stream": True}, "has the unsupported fields 'n', 'stream'; remove them"),
        (CHAT, {"n": True}, "has the unsupported field 'n'"),
        (CHAT, {"reasoning_effort": "high"}, "'reasoning_effort'"),
        (CHAT, {"service_tier": "scale"}, "'service_tier'"),
        (RESPONSES, {"service_tier": ["flex"]}, "'service_tier'"),
        (CHAT, {"input": "x"}, "'input'"),
        (CHAT, {"max_output_tokens": 300}, "'max_output_tokens'"),
        (CHAT, {"max_tokens": 300, "max_completion_tokens": 300}, "'max_tokens'"),
        (CHAT, {"messages": []}, "messages: has no user message"),
        (CHAT, {"messages": None}, "messages: must be a list, not None"),
        (CHAT, {"messages": ["x"]}, r"messages\[0\]: only messages are supported, not 'x'"),
        (CHAT, {"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\]: the role is 'tool'"),
        (
            CHAT,
            {"messages": [{"role": "user", "name": "Ann", "content": "x"}]},
            r"messages\[0\] has the unsupported field 'name'",
        ),
        (
            CHAT,
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            r"messages\[0\] has the unsupported field 'tool_calls'",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]},
            r"messages\[1\]: a system message follows other messages",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            r"messages\[0\]\.content\[0\]: .* not 'input_audio'",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}]},
            r"content\[0\]: an image must be an https URL or a data:image/... URL, not '/etc/passwd'",
        ),
        (CHAT, {"tools": [{"type": "custom"}]}, "tools: only function tools are supported"),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools: only function tools are supported"),
        (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "low"}}, "'text' with more than a format"),
        (RESPONSES, {"reasoning": {"effort": "high"}}, "'reasoning'"),
        (RESPONSES, {"previous_response_id": "resp_1"}, "'previous_response_id'"),
        (RESPONSES, {"input": [{"type": "function_call_output"}]}, r"input\[0\]: only messages are supported"),
    ],
)
def test_unsupported_fields_are_named(requests, url, body, names):
    [document] = requests(request(url, **body))
    with pytest.raises(BadDocument, match=names):
        document.job_fields(UNUSED)


def test_a_request_is_identified_by_its_custom_id(requests):
    [first] = requests("", request(custom_id="a"))
    assert (first.identity, first.location["custom_id"], first.name) == ("a", "a", "requests.jsonl:2")
    [_, again] = requests(request(custom_id="b"), request(custom_id="a"))
    assert again.identity == "a"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object with fields"),
        ({"url": CHAT, "body": {}}, "has no custom_id"),
        ({"custom_id": 7, "url": CHAT, "body": {}}, "has no custom_id"),
        ({"custom_id": "b", "method": "GET", "url": CHAT, "body": {}}, f"is GET {CHAT}; supported are POST {CHAT}"),
        ({"custom_id": "b", "url": "/v1/embeddings", "body": {}}, "is None /v1/embeddings"),
        ({"custom_id": "b", "url": CHAT}, "has no body"),
        (request(custom_id="a"), "has the custom_id 'a' of an earlier request"),
    ],
)
def test_a_bad_request_has_a_reason_and_does_not_affect_others(requests, line, reason):
    first, bad, last = requests(request(custom_id="a"), line, request(custom_id="c"))
    with pytest.raises(BadDocument, match=reason):
        bad.job_fields(UNUSED)
    assert bad.label.endswith("requests.jsonl:2")
    assert first.job_fields(UNUSED) == last.job_fields(UNUSED)


def test_repeated_custom_ids_are_refused_with_result_lines_of_their_own(requests):
    documents = list(requests(*(request(custom_id=name) for name in ("a", "a/2", "a", "a", "a/3"))))
    assert [each.location["custom_id"] for each in documents] == ["a", "a/2", "a/3", "a/4", "a/3/2"]
    assert [bool(each.problem) for each in documents] == [False, False, True, True, True]


def test_a_repeated_custom_id_does_not_delete_an_earlier_answer(requests, tmp_path):
    out = tmp_path / "results.jsonl"
    answered, refused = requests(request(custom_id="a"), request(custom_id="a"))
    common = {"batch": "b", "job_id": None, "text": "", "failure": {"kind": "rejected", "message": "twice"}}
    with ResultsFile(out, "b") as results:
        results.write({**answered.location, **common, "key": "k", "state": "succeeded", "job_id": "j", "failure": None})
        results.write({**refused.location, **common, "key": None, "state": "failed"})
    for _ in range(2):
        with ResultsFile(out, "b") as results:
            assert list(results.previous) == ["k"]
            results.write({**refused.location, **common, "key": None, "state": "failed"})
    assert [line["state"] for line in read_lines(out)] == ["succeeded", "failed"]
    export(out, Format.OPENAI_BATCH, tmp_path / "openai.jsonl")
    assert '"custom_id":"a"' in (tmp_path / "openai.jsonl").read_text().replace(": ", ":")
    assert '"custom_id":"a/2"' in (tmp_path / "openai.errors.jsonl").read_text().replace(": ", ":")


RESPONSES_ENDPOINT = {"kind": "responses", "base_url": "http://x"}
ASSISTANTS_ENDPOINT = {"kind": "assistants", "base_url": "http://x", "assistant": "asst_x"}


@pytest.fixture
def refusal(requests):
    """Returns why the endpoint refuses a request, in the words of its file, or ""."""

    def refused(endpoint: dict, url: str = CHAT, **body) -> str:
        [document] = requests(request(url, **body))
        questions = JobBuilder(Client(Settings(endpoints={"x": endpoint})), "b", UNUSED, {"endpoint": "x"})
        try:
            return questions.build(document) and ""
        except BadDocument as error:
            return str(error)

    return refused


def test_a_low_token_limit_is_refused_only_by_some_endpoints(refusal):
    assert refusal(RESPONSES_ENDPOINT, max_tokens=50) == ""
    assert refusal(RESPONSES_ENDPOINT, max_tokens=16) == ""
    assert "accepts 16 and more, not 15" in refusal(RESPONSES_ENDPOINT, max_tokens=15)
    assert refusal({**ASSISTANTS_ENDPOINT, "min_token_limit": 1}, max_tokens=50) == ""


@pytest.mark.parametrize(
    ("url", "body", "begins"),
    [
        (CHAT, {"max_tokens": 50}, "`max_tokens`: endpoint 'x' accepts 256 and more, not 50; raise it, or lower"),
        (CHAT, {"max_completion_tokens": 50}, "`max_completion_tokens`: endpoint 'x' accepts 256"),
        (RESPONSES, {"max_output_tokens": 50}, "`max_output_tokens`: endpoint 'x' accepts 256"),
        (RESPONSES, {"max_output_tokens": "many"}, "`max_output_tokens`: "),
        (RESPONSES, {"input": [{"role": "user", "content": ""}]}, "`input.0.content"),
        (CHAT, {"messages": [{"role": "user", "content": ""}]}, "`messages.0.content"),
        (
            RESPONSES,
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "objct"}}}},
            "`text.format`: its schema is not a valid JSON Schema: at $.type: 'objct' is not one of",
        ),
    ],
)
def test_a_refusal_names_the_field_of_the_file(refusal, url, body, begins):
    assert refusal(ASSISTANTS_ENDPOINT, url, **body).startswith(begins)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ThreadmillError, match=r"a\.csv: --requests takes \.jsonl files"):
        RequestDocuments([tmp_path / "a.csv"])
    with pytest.raises(ThreadmillError, match=r"gone\.jsonl: cannot be read: No such file"):
        list(RequestDocuments([tmp_path / "gone.jsonl"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
WORDS = ["role", "content", "type", "text", "image_url", "url", "input", "messages", "instructions", "tools", "format"]
VALUES = JSON | st.sampled_from(["user", "system", "text", "input_text", "image_url", "input_image", "function"])
BODIES = st.dictionaries(
    st.sampled_from(WORDS),
    st.recursive(
        VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
        max_leaves=8,
    ),
)


@given(st.sampled_from([CHAT, RESPONSES]), BODIES)
def test_any_body_becomes_a_job_or_has_a_reason(url, body):
    with suppress(BadDocument, InvalidJob):
        PromptJob.parse(to_job_fields(url, body))
