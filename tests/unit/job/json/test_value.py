"""JSON of callers that could not be stored, or not be read again, is refused when the job is validated."""

import json

import pytest

from threadmill import InvalidJob, PromptJob


def nested(levels):
    value = "end"
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return {"a": value}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (nested(64), "more than 64 levels"),
        (nested(5000), "levels"),
        ({"a": [float("nan")]}, "the number nan"),
        ({"a": float("inf")}, "the number inf"),
        ({"a": "\ud800"}, "half of a character"),
        ({"\udc00": 1}, "half of a character"),
    ],
)
@pytest.mark.parametrize("field", ["response_format", "truncation", "tool_choice"])
def test_what_cannot_be_stored_is_refused(field, value, said):
    with pytest.raises(InvalidJob, match=said):
        PromptJob.parse({"prompt": "Well?", field: value})


@pytest.mark.parametrize(
    "field", ["endpoint", "assistant", "profile", "model", "instructions", "additional_instructions", "prompt"]
)
def test_half_a_character_is_refused_everywhere(field):
    with pytest.raises(InvalidJob, match=field):
        PromptJob.parse({"prompt": "Well?", field: "a\ud800"})


def test_the_rest_is_stored_as_it_is():
    value = nested(63) | {"text": "天氣 🌦", "number": 1e300, "integer": 10**18, "none": None, "yes": True}
    job = PromptJob.parse({"prompt": "Well?", "response_format": value, "tools": [value, "weather"]})
    assert json.loads(job.model_dump_json())["response_format"] == value
    assert PromptJob.read(job.model_dump_json())[0] == job
