"""The settings that are written from what was found out about a server, and how those of an endpoint are compared."""

import tomllib

import pytest
from tests.hostile import HOSTILE_TEXTS

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.supports import Supports
from threadmill_worker.admin.discovery.discover import best_wire, guess
from threadmill_worker.admin.discovery.findings import FEATURES, Discovery, Finding
from threadmill_worker.admin.discovery.settings_lines import differences, settings_lines

URL = "http://127.0.0.1:8000/v1"


def found(wire, *, model=None, models=(), base_url=URL, **has):
    findings = tuple(Finding(feature, value, f"asked for {feature}") for feature, value in {wire: True, **has}.items())
    return Discovery(base_url, wire, findings, tuple(models), model)


def table(discovery, name="mine", variable="MY_KEY"):
    return tomllib.loads(settings_lines(discovery, name, variable))["endpoints"][name]


def test_every_field_of_supports_that_is_found_out_has_a_name():
    assert {"background", "streaming", "files"} <= FEATURES.keys()
    assert len(set(FEATURES.values())) == len(FEATURES)


@pytest.mark.parametrize("wire", ["responses", "chat", "assistants"])
def test_what_the_kind_has_by_default_is_left_out(wire):
    kind = {"kind": wire, "base_url": URL, "api_key_env": "MY_KEY"}
    usual = Endpoint.model_validate(kind).supports.model_dump()
    assert table(found(wire, **usual)) == kind


def test_each_feature_that_differs_is_a_line_with_its_reason():
    lines = settings_lines(found("responses", background=False, list_responses=True, streaming=True), "mine", "MY_KEY")
    assert tomllib.loads(lines)["endpoints"]["mine"]["supports"] == {"background": False, "list_responses": True}
    [line] = [line for line in lines.splitlines() if line.startswith("background")]
    assert line == "background = false                      # asked for background"


def test_what_was_not_found_out_is_left_out():
    assert "supports" not in table(found("responses", background=None, files=None))


def test_features_of_another_api_are_left_out():
    discovery = found("chat", background=True, list_responses=True, create_and_run=True)
    assert "supports" not in table(discovery)


def test_openai_needs_one_line():
    lines = settings_lines(found("responses", base_url="https://api.openai.com/v1"), "openai", "OPENAI_API_KEY")
    assert tomllib.loads(lines) == {"endpoints": {"openai": {"kind": "responses"}}}
    assert '# model = "..."' in lines


def test_a_server_without_keys_is_not_sent_that_of_openai():
    endpoint = Endpoint.model_validate(table(found("responses", model="m"), variable=None))
    assert (endpoint.key_variables, endpoint.model) == ((), "m")


def test_davinci_has_its_own_kind():
    discovery = found("assistants", base_url="https://prod.dvcbot.net/api/assts/v1")
    assert table(discovery, variable="DAVINCI_API_KEY") == {"kind": "davinci"}


def test_a_comment_names_the_models_and_the_other_apis():
    lines = settings_lines(found("responses", chat=True, models=("a", "b"), model="b"), "mine", None)
    assert "it also speaks chat" in lines
    assert "one of 2: a, b" in lines


@pytest.mark.parametrize(
    "text", [*HOSTILE_TEXTS, 'a"\n[endpoints.evil]\nkind = "chat', "\x7f", "\\", "\udc80", "雪", "'''"]
)
def test_texts_of_a_server_stay_in_their_string_or_comment(text):
    discovery = Discovery(
        URL, "chat", (Finding("chat", True, text), Finding("streaming", False, text)), (text, "b"), text
    )
    for name in ("mine", "a.b@c+d"):
        lines = settings_lines(discovery, name, "MY_KEY")
        [(found_name, endpoint)] = tomllib.loads(lines)["endpoints"].items()
        assert found_name == name
        assert endpoint.keys() == {"kind", "base_url", "api_key_env", "model", "supports"}
        assert lines.count("\n") <= 8
        Endpoint.model_validate(endpoint)


def test_a_difference_names_the_line_to_set():
    endpoint = Endpoint.model_validate({"kind": "responses", "supports": {"files": False}})
    lacking, unused = sorted(
        differences(found("responses", background=False, files=True, streaming=True), "mine", endpoint),
        key=lambda each: not each.is_lacking,
    )
    assert (lacking.is_lacking, unused.is_lacking) == (True, False)
    assert lacking.text == (
        "work in the background: not offered (asked for background); "
        "set background = false in [endpoints.mine.supports]"
    )
    assert unused.text.startswith("files and vector stores: offered, but not used")


def test_settings_that_fit_differ_in_nothing():
    discovery = found("chat", **Endpoint(kind="chat", base_url=URL).supports.model_dump())
    assert differences(discovery, "mine", Endpoint(kind="chat", base_url=URL)) == []
    assert set(Supports.model_fields) == set(discovery.supports)


@pytest.mark.parametrize(
    ("has", "wire"),
    [
        ({"responses": True, "chat": True}, "responses"),
        ({"responses": True, "chat": True, "background": True, "stored_responses": True}, "responses"),
        ({"responses": True, "chat": True, "background": False, "stored_responses": True}, "responses"),
        ({"responses": True, "chat": True, "background": False, "stored_responses": False}, "chat"),
        ({"responses": True, "chat": False, "background": False, "stored_responses": False}, "responses"),
        ({"assistants": True, "chat": True}, "assistants"),
        ({"chat": True}, "chat"),
    ],
)
def test_the_api_that_suits_threadmill_best_is_chosen(has, wire):
    assert best_wire([Finding(feature, value, "") for feature, value in has.items()]) == wire


@pytest.mark.parametrize(
    ("url", "wire", "base_url"),
    [
        ("http://127.0.0.1:8000", "chat", "http://127.0.0.1:8000/v1"),
        ("https://api.openai.com", "responses", "https://api.openai.com/v1"),
        ("https://x.openai.azure.com/", "responses", "https://x.openai.azure.com/openai/v1"),
        ("https://prod.dvcbot.net", "assistants", "https://prod.dvcbot.net/api/assts/v1"),
    ],
)
def test_without_calls_the_kind_is_a_guess(url, wire, base_url):
    guessed = guess(url, None)
    assert (guessed.wire, guessed.base_url) == (wire, base_url)
    assert "not checked" in settings_lines(guessed, "mine", "MY_KEY")
