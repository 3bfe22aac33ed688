"""Invalid JSON Schemas, which are refused before anything is enqueued."""

import json

import pytest
from tomli_w import dumps
from typer.testing import CliRunner

from threadmill import Client, PromptJob, Settings
from threadmill.errors import InvalidJob, SettingsError
from threadmill.job.json.schema import schema_problem
from threadmill_cli.app import Exit, app
from threadmill_worker.files.attachments import load_attachments

BROKEN = {"type": "object", "properties": {"price": {"type": "numbre"}}}
REASON = "at $.properties.price.type: 'numbre' is not one of ['array',"
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": BROKEN}}
FLAT = {"type": "function", "name": "look", "parameters": BROKEN}


def formatted(schema):
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


@pytest.fixture
def settings():
    endpoint = {"kind": "responses", "base_url": "http://x", "model": "m"}
    return Settings.model_validate({"endpoints": {"x": endpoint}, "default_endpoint": "x"})


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({}, None),
        ({"type": ["string", "null"]}, None),
        (BROKEN, REASON),
        ({"required": "price"}, "at $.required: 'price' is not of type 'array'"),
        ({"pattern": "["}, "at $.pattern: '[' is not a pattern that can be matched (missing ]: [)"),
        ({"pattern": "^(?=a)"}, "at $.pattern: '^(?=a)' is not a pattern that can be matched (invalid perl operator"),
        ({"patternProperties": {r"(a)\1": {}}}, "at $.patternProperties: '(a)"),
        ({"pattern": "(((a{1,100}){1,100}){1,100})"}, "at $.pattern: "),
        ({"pattern": r"^\d+\/\u0041\\u00[\u4e00-\u9fff\-]$"}, None),
        ({"patternProperties": {"a": {"unevaluatedProperties": False}}}, "unevaluatedProperties beside"),
        ({"properties": {"pattern": {"enum": [{"pattern": "(?=a)"}]}}}, None),
        ([], "it is not an object"),
        ("object", "it is not an object"),
    ],
)
def test_an_invalid_schema_is_described_with_its_path(schema, problem):
    found = schema_problem(schema)
    assert found is problem or str(found).startswith(str(problem))


def test_a_schema_nested_too_deeply_is_refused():
    schema: dict = {}
    for _ in range(400):
        schema = {"items": schema}
    assert str(schema_problem(schema)).startswith("RecursionError")


@pytest.mark.parametrize(
    ("job", "begins"),
    [
        ({"response_format": formatted(BROKEN)}, f"`response_format`: its schema is not a valid JSON Schema: {REASON}"),
        ({"tools": [FUNCTION]}, f"`tools`: the parameters of 'look' are not a valid JSON Schema: {REASON}"),
        ({"tools": ["file_search", FLAT]}, f"`tools`: the parameters of 'look' are not a valid JSON Schema: {REASON}"),
    ],
)
async def test_both_sides_refuse_a_job_with_an_invalid_schema(settings, job, begins):
    job = {"prompt": "Well?", **job}
    with pytest.raises(InvalidJob) as refused:
        Client(settings).check(job)
    assert str(refused.value).startswith(begins)
    # A Celery client that sends the job itself reaches the worker unchecked.
    with pytest.raises(InvalidJob, match=r"is not a valid JSON Schema|are not a valid JSON Schema"):
        await load_attachments(PromptJob.parse(job), "x", settings)


def test_a_job_with_valid_or_without_schemas_is_taken(settings):
    good = formatted({"type": "object"})
    tools = ({"type": "function", "function": {"name": "now"}}, {"type": "web_search"})
    for response_format in (good, formatted(None), {"type": "json_object"}, "auto", None):
        Client(settings).check({"prompt": "Well?", "response_format": response_format, "tools": tools})


@pytest.mark.parametrize("field", [{"response_format": formatted(BROKEN)}, {"tools": [FUNCTION]}])
def test_a_profile_with_an_invalid_schema_is_refused_with_the_settings(field, tmp_path, monkeypatch):
    (tmp_path / "threadmill.toml").write_text(dumps({"profiles": {"p": {"model": "m", **field}}}))
    monkeypatch.setenv("THREADMILL_CONFIG", str(tmp_path / "threadmill.toml"))
    with pytest.raises(SettingsError, match=rf"`profiles\.p\.{next(iter(field))}`: .* not a valid JSON Schema"):
        Settings.load()


@pytest.mark.parametrize("command", [["submit", "Well?"], ["batch", "docs"], ["batch", "docs", "--dry-run"]])
def test_the_command_line_refuses_an_invalid_schema(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("One")
    (tmp_path / "schema.json").write_text(json.dumps(BROKEN))
    done = CliRunner().invoke(app, [*command, "--endpoint", "emulator", "--json-schema", "schema.json"])
    assert done.exit_code == Exit.USAGE
    assert REASON in done.stderr
