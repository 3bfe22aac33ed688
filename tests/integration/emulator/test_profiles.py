"""The emulator in the guise of servers that people run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from threadmill_emulator.__main__ import KNOWN_EXTRAS, arguments, options
from threadmill_emulator.scripting.options import CAPABILITIES, Options
from threadmill_emulator.scripting.profiles import PROFILES
from threadmill_emulator.testing import running

pytestmark = pytest.mark.integration

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
ASKED = {"model": "emulator", "input": "Why?", "background": True}


@pytest.fixture
def http() -> Iterator[Callable[[Options], httpx.Client]]:
    """A client of an emulator with these options."""
    with ExitStack() as stack:

        def start(options: Options) -> httpx.Client:
            server = stack.enter_context(running(options))
            return stack.enter_context(httpx.Client(base_url=server.base_url, headers=HEADERS))

        yield start


def like(name: str, **others: Any) -> Options:
    return PROFILES[name].options(run_s=0, **others)


def respond(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/responses", json=ASKED | more)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_made_of_known_names(name):
    profile = PROFILES[name]
    assert profile.without <= CAPABILITIES.keys()
    assert profile.extras <= KNOWN_EXTRAS.keys()


def test_the_command_adds_to_a_profile():
    found = options(arguments(["--like", "vllm", "--without", "streaming", "--with", "no_usage"]))

    assert found.without == PROFILES["vllm"].without | {"streaming"}
    assert found.extras == PROFILES["vllm"].extras | {"no_usage"}


def test_the_command_lists_the_profiles(capsys):
    with pytest.raises(SystemExit):
        arguments(["--help"])
    listed = capsys.readouterr().out
    assert all(f"  {name}: {profile.server}\n" in listed for name, profile in PROFILES.items())

    with pytest.raises(SystemExit):
        arguments(["--like", "nobody"])
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["litellm-bridge", "litellm-polling", "ollama"])
def test_an_ignored_previous_response_is_neither_read_nor_shown(name, http):
    client = http(like(name))
    first = respond(client, input="The heron is called Ottilie.", background=False).json()
    asked = {"input": "[[scenario=recall]]What is it called?", "previous_response_id": first["id"]}
    second = respond(client, **asked, background=False).json()

    assert second["previous_response_id"] is None
    [item] = second["output"]
    assert "What is it called?" in item["content"][0]["text"]
    assert "Ottilie" not in item["content"][0]["text"]


def test_an_unknown_previous_response_is_not_found_on_vllm(http):
    reply = respond(http(like("vllm")), background=False, previous_response_id="resp_1")
    assert (reply.status_code, reply.json()["error"]["message"]) == (404, "Response with id 'resp_1' not found.")


def test_ogx_shows_the_previous_response_once_the_next_has_ended(http):
    client = http(like("ogx"))
    first = respond(client).json()["id"]
    second = respond(client, previous_response_id=first, input="[[run_s=0.05]]Why?").json()
    assert (second["status"], second["previous_response_id"]) == ("queued", None)

    while (ended := client.get(f"/responses/{second['id']}").json())["status"] != "completed":
        assert ended["previous_response_id"] is None
    assert ended["previous_response_id"] == first


def test_ogx_streams_only_what_is_not_in_the_background(http):
    client = http(like("ogx"))
    refused = respond(client, stream=True)
    assert (refused.status_code, list(refused.json())) == (400, ["detail"])
    assert respond(client, stream=True, background=False).headers["content-type"].startswith("text/event-stream")


def test_a_response_that_litellm_polls_has_an_id_of_its_own(http):
    client = http(like("litellm-polling"))
    reply = respond(client, stream=True)
    id = reply.json()["id"]

    assert id.startswith("litellm_poll_"), "plain JSON, though a stream was asked for"
    assert client.get(f"/responses/{id}").json()["id"] == id
    assert client.delete(f"/responses/{id}").json()["deleted"] is True


def test_litellm_without_settings_for_files_fails(http):
    reply = http(like("litellm-bridge")).post("/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    assert (reply.status_code, "files_settings is not set" in reply.text) == (500, True)


def test_open_assistant_api_passes_no_image_or_schema_to_its_model(http):
    client = http(like("open-assistant-api"))
    data = {"file": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(24))}
    file = client.post("/files", files=data, data={"purpose": "vision"}).json()["id"]
    parts = [{"type": "text", "text": "Well?"}, {"type": "image_file", "image_file": {"file_id": file}}]
    thread = client.post("/threads", json={"messages": [{"role": "user", "content": parts}]}).json()["id"]
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}}}
    client.post(f"/threads/{thread}/runs", json={"assistant_id": "asst_emulator", "response_format": schema})
    messages = client.get(f"/threads/{thread}/messages").json()["data"]
    [answer] = [each["content"][0]["text"]["value"] for each in messages if each["role"] == "assistant"]

    assert answer.startswith("*Emulated answer")
    assert "a.png" not in answer


def test_a_quirk_of_runs_can_be_that_of_the_whole_server(http):
    shown = respond(http(Options(run_s=0, extras=frozenset({"no_usage"}))), background=False).json()
    assert (shown["status"], shown["usage"]) == ("completed", None)
