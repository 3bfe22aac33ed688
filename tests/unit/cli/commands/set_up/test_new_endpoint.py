"""What `threadmill init` and `doctor` take as a URL, a name and a variable, and how a key is kept out of files."""

import pytest

from threadmill.errors import SettingsError
from threadmill.names import is_name
from threadmill.secrets.redaction import redact
from threadmill_cli.commands.set_up.new_endpoint import check_url, check_variable, is_url, name_for, variable_for


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF123",
        "sk-ant-api03-x",
        "gsk_0123456789abcdefghij",
        "hf_AbCdEf0123456789",
        "AIzaSyA0123456789abcdef",
        "0123456789abcdef0123456789abcdef",
        "xai-abc",
        "tm_abc_0123456789",
        "nvapi-x",
    ],
)
def test_a_key_in_place_of_a_variable_is_refused_and_not_repeated(key):
    with pytest.raises(SettingsError, match="this looks like a key") as raised:
        check_variable(key, {})
    assert key not in str(raised.value)
    assert key not in redact(f"log: {key}") or len(key) < 8


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "my_key", "K", "LLM_KEY_2", "THE_LONG_KEY_OF_SERVER_17"])
def test_the_name_of_a_variable_is_taken(variable):
    assert check_variable(variable, {}) == variable


def test_a_variable_that_is_set_is_one_whatever_its_name():
    assert check_variable("hf_0123456789abcdefghij", {"hf_0123456789abcdefghij": "x"})


@pytest.mark.parametrize("text", ["", "MY KEY", "$MY_KEY", "MY-KEY", "1KEY"])
def test_what_cannot_be_a_variable_is_refused(text):
    with pytest.raises(SettingsError, match="letters, digits and `_`"):
        check_variable(text, {})


@pytest.mark.parametrize(
    ("url", "name", "variable"),
    [
        ("https://api.openai.com/v1", "openai", "OPENAI_API_KEY"),
        ("https://me.openai.azure.com", "azure-v1", "AZURE_OPENAI_API_KEY"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini", "GEMINI_API_KEY"),
        ("http://127.0.0.1:8000/v1", "local", None),
        ("http://[::1]:8000/v1", "local", None),
        ("http://localhost:11434", "local", None),
        ("http://vllm:8000/v1", "vllm", None),
        ("https://llm.example.com", "example", None),
        ("https://openai.com.evil.example/v1", "evil", None),
    ],
)
def test_a_server_has_a_name_and_perhaps_a_usual_variable(url, name, variable):
    assert (name_for(url), variable_for(url)) == (name, variable)
    assert is_name(name_for(url))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://host/v1", "http://", "http:///v1", "", "sk-abc", "http://host/a b", "davinci"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(SettingsError, match="not the URL of a server"):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["https://me:pass-word-1@host/v1", "https://host/v1?api_key=abcdefgh1", "https://host/#x"]
)
def test_a_url_with_a_secret_is_refused_without_it(url):
    with pytest.raises(SettingsError, match="leave them out") as raised:
        check_url(url)
    assert "pass-word-1" not in str(raised.value)
    assert "abcdefgh1" not in str(raised.value)


def test_a_name_is_no_url():
    assert not is_url("davinci")
    assert is_url("http://127.0.0.1:8000")
