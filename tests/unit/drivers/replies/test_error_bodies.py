"""What an error reply says, in the forms that servers and gateways use."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.drivers.replies.error_bodies import error_in, read_error
from threadmill_worker.lifecycle.server_errors import ServerError

BEYOND = json.dumps({"detail": [{"loc": ["body", "input", 0], "msg": f"wrong {each}"} for each in range(9)]})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"error": {"message": "Sorry.", "type": "invalid_request_error", "param": "stream", "code": "no_value"}},
            ServerError("Sorry.", "no_value", "invalid_request_error", "stream"),
        ),
        # OGX: fastapi.HTTPException
        ({"detail": "not yet 'stream' and 'background'"}, ServerError("not yet 'stream' and 'background'")),
        # FastAPI's validation, 422
        (
            {"detail": [{"type": "missing", "loc": ["body", "input", 0, "id"], "msg": "Field required"}]},
            ServerError("body.input.0.id: Field required", type="missing"),
        ),
        # LiteLLM: ProxyException, and HTTPException(detail={"error": ...})
        (
            {"error": {"message": "No deployments available", "type": "None", "param": "None", "code": "429"}},
            ServerError("No deployments available", "429"),
        ),
        (
            {"detail": {"error": "Max parallel request limit reached"}},
            ServerError("Max parallel request limit reached"),
        ),
        # vLLM before 0.10
        (
            {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400},
            ServerError("too long", "400", "BadRequestError"),
        ),
        # RFC 9457
        (
            {"type": "about:blank", "title": "Too Many Requests", "detail": "Wait 7 s.", "status": 429},
            ServerError("Too Many Requests: Wait 7 s."),
        ),
        ({"title": "Not Found", "status": 404}, ServerError("Not Found")),
        # Ollama; OAuth (RFC 6749); Kong; Spring
        ({"error": "model 'x' not found"}, ServerError("model 'x' not found")),
        ({"error": "invalid_token", "error_description": "It expired."}, ServerError("It expired.")),
        ({"message": "no Route matched with those values"}, ServerError("no Route matched with those values")),
        ({"error": "Not Found", "message": "No handler", "status": 404}, ServerError("No handler")),
        # Cloudflare
        (
            {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}, {"message": "and more"}]},
            ServerError("Authentication error; and more", "10000"),
        ),
        ("bare words", ServerError("bare words")),
        ({"what": "ever"}, ServerError('{"what": "ever"}')),
        ({"error": {"code": "overloaded"}}, ServerError("", "overloaded")),
        ({}, ServerError()),
        (None, ServerError()),
    ],
)
def test_what_json_says(body, said):
    assert read_error(json.dumps(body)) == said
    assert error_in(body) == said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", ""),
        ("Internal Server Error\n", "Internal Server Error"),
        ("<html>\n<head><title>502 Bad\n Gateway</title></head>", "an HTML page: 502 Bad Gateway"),
        ("<!DOCTYPE html><body><h1>Sign <b>in</b></h1><p>here", "an HTML page: Sign in"),
        ("<html><p>Access denied&nbsp;&#8212; policy 7", "an HTML page: Access denied — policy 7"),
        ('{"error": {"message": "cut', '{"error": {"message": "cut'),
        (BEYOND, "body.input.0: wrong 0; body.input.0: wrong 1; body.input.0: wrong 2"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_what_a_text_says(body, message):
    assert read_error(body) == ServerError(message)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "detail", "message", "msg", "loc", "code", "type", "x"]), inner)
    ),
    max_leaves=8,
)


@given(ANY)
def test_any_json_at_all_says_something_or_nothing(body):
    said = read_error(json.dumps(body))
    assert all(isinstance(each, str | None) for each in (said.message, said.code, said.type, said.param))
