"""What a worker of an older version would misread raises the number of the format."""

from collections.abc import Iterator
from typing import Any

from threadmill import JobState, PromptJob
from threadmill.store.records.job import FORMAT
from threadmill_worker.lifecycle.progress import Intent

#: Fields of a job that take no other values, and these. Each version so far: a worker fails a job with another value,
#: unless the record has a higher number. A new field needs none: older workers leave a job with an unknown field alone.
VALUES = {
    1: {
        ("FileInput", "tools"): ["file_search", "code_interpreter"],
        ("ImageFile", "detail"): ["auto", "low", "high"],
        ("ImageUrl", "detail"): ["auto", "low", "high"],
        ("Message", "role"): ["user", "assistant"],
        ("PromptJob", "callback_format"): ["webhook", "cloudevents"],
        ("PromptJob", "lane"): ["batch", "flex", "within-2h", "within-8h"],
        ("PromptJob", "priority"): ["high", "normal", "low"],
    }
}

STATES = {1: ["queued", "running", "succeeded", "failed", "cancelled"]}

INTENTS = {1: ["upload", "create_store", "create_thread", "add_message", "start_run", "submit_outputs"]}


def _values(schema: Any) -> Iterator[Any]:
    """The lists of values in a JSON Schema."""
    if isinstance(schema, dict):
        if "enum" in schema:
            yield schema["enum"]
        yield from _values(list(schema.values()))
    elif isinstance(schema, list):
        for part in schema:
            yield from _values(part)


def test_a_new_value_state_or_intent_raises_the_format():
    schema = PromptJob.model_json_schema()
    models = {**schema["$defs"], "PromptJob": {"properties": schema["properties"]}}
    found = {
        (model, name): values
        for model, parts in models.items()
        for name, field in parts.get("properties", {}).items()
        for values in _values(field)
    }
    assert found == VALUES[FORMAT], "raise FORMAT (record.py), and write the new values down here"
    assert list(JobState) == STATES[FORMAT]
    assert list(Intent) == INTENTS[FORMAT]
