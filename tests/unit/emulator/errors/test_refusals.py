"""Requests with fields that a server does not know."""

from typing import Any

import pytest

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.forms import FORMS, OPENAI, form_of
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.schemas.chat import CreateCompletion

PART = {"type": "text", "text": "Hello", "bogus": 1}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": [PART]}], "top_k": 3, "stream": True}


def test_an_unknown_field_is_refused_by_its_path():
    with pytest.raises(ApiError) as refused:
        parse(CreateCompletion, {**BODY, "top_k": None})
    assert refused.value.param in ("messages[0].content[0].bogus", "top_k")


def test_unknown_fields_are_ignored_wherever_they_are():
    read = parse(CreateCompletion, BODY, ignores_unknown=True)
    assert read.model_dump(exclude_unset=True) == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stream": True,
    }
    assert BODY["messages"][0]["content"] == [PART], "the request is not changed"


def test_other_errors_are_still_refused():
    with pytest.raises(ApiError) as refused:
        parse(CreateCompletion, {**BODY, "temperature": 9}, ignores_unknown=True)
    assert refused.value.param == "temperature"


def test_a_server_has_one_form_of_errors():
    assert form_of(()) is OPENAI
    assert form_of({"no_usage", "google_errors"}) is FORMS["google_errors"]
    error = ApiError(404, "There is no such model.", param="model", code="model_not_found")
    assert {name: form.body(error) for name, form in FORMS.items()} == {
        "detail_errors": {"detail": error.message},
        "vllm_errors": {
            "error": {"message": error.message, "type": "NotFoundError", "param": "model", "code": 404},
        },
        "llama_errors": {"error": {"code": 404, "message": error.message, "type": "not_found_error"}},
        "ollama_errors": {
            "error": {"message": error.message, "type": "not_found_error", "param": None, "code": None},
        },
        "google_errors": [{"error": {"code": 404, "message": error.message, "status": "NOT_FOUND"}}],
    }
