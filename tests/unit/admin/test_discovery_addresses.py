"""Where a server may have its API, and what is said of a server without any."""

import pytest

from threadmill_worker.admin.discovery.addresses import base_urls, unreached, useless
from threadmill_worker.drivers.http.exchange import Cause, Reply, Unreached

URL = "http://127.0.0.1:8000"
PAGE = Reply(200, "<html><title>Open WebUI</title>", "text/html; charset=utf-8")
NOTHING = Reply(404, '{"detail": "Not Found"}', "application/json")


@pytest.mark.parametrize(
    ("url", "tried"),
    [
        (URL, (URL, f"{URL}/v1")),
        (f"{URL}/", (URL, f"{URL}/v1")),
        (f"{URL}/v1", (f"{URL}/v1",)),
        (f"{URL}/v1/chat/completions", (f"{URL}/v1",)),
        (f"{URL}/v1/responses/", (f"{URL}/v1",)),
        (f"{URL}/api/assts/v1/threads", (f"{URL}/api/assts/v1",)),
        (f"{URL}/llm", (f"{URL}/llm", f"{URL}/llm/v1")),
        ("https://me.openai.azure.com", ("https://me.openai.azure.com/openai/v1",)),
        ("https://me.openai.azure.com/openai/v1/", ("https://me.openai.azure.com/openai/v1",)),
        (
            "https://generativelanguage.googleapis.com",
            ("https://generativelanguage.googleapis.com/v1beta/openai",),
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/",
            ("https://generativelanguage.googleapis.com/v1beta/openai",),
        ),
    ],
)
def test_the_base_url_is_found_in_what_users_write(url, tried):
    assert base_urls(url) == tried


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_remedy(cause):
    text = str(unreached(URL, Unreached(cause, "because")))
    assert text.startswith(f"{URL}: because; ")
    assert "check" in text


@pytest.mark.parametrize(
    ("replies", "variable", "told"),
    [
        (
            [Reply(401, '{"error": {"message": "Incorrect API key"}}')],
            "MY_KEY",
            "401 Incorrect API key: check the key in MY_KEY",
        ),
        ([Reply(403, "")], None, "403: the server wants a key: name its variable with --key-env"),
        ([PAGE, PAGE], None, "an HTML page: Open WebUI: this is a web page and not the API"),
        ([Reply(308, "", location="https://other/v1")], None, "redirected to https://other/v1: give that URL"),
        ([Reply(502, "<html><h1>Bad Gateway</h1>", "text/html")], None, "502 an HTML page: Bad Gateway: try again"),
        ([Reply(429, '{"error": "slow down"}')], None, "429 slow down: try again when the server works"),
        ([NOTHING], None, "none of Responses, Chat Completions and Assistants (answers 404 Not Found)"),
        ([NOTHING, Reply(401, "")], "MY_KEY", "check the key in MY_KEY"),
    ],
)
def test_a_server_without_an_api_is_explained(replies, variable, told):
    assert told in str(useless([(URL, replies)], variable))


def test_all_base_urls_that_were_tried_are_named():
    assert f"{URL} and {URL}/v1 has none" in str(useless([(URL, [NOTHING]), (f"{URL}/v1", [NOTHING])], None))
