"""A thread as people read it: whatever servers write, a message is shown."""

import asyncio
from typing import Any, cast

import pytest

from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers import transcript
from threadmill_worker.drivers.http.api import Api
from threadmill_worker.drivers.transcript import Transcript, _shown, _shown_item, read_conversation, read_thread
from threadmill_worker.lifecycle.observations import Rejected, Unknown

ENDPOINT = Endpoint(kind="emulator", api_key_env="TRANSCRIPT_KEY")


def test_text_images_and_files_of_a_message_are_shown():
    made = {"type": "file_path", "file_path": {"file_id": "file-made"}}
    cited = {"type": "file_citation", "file_citation": {"file_id": "file-cited"}}
    message = {
        "id": "msg_1",
        "role": "assistant",
        "created_at": 1_800_000_000,
        "content": [
            {"type": "text", "text": {"value": "Here it is.", "annotations": [made, cited]}},
            {"type": "image_file", "image_file": {"file_id": "file-plot"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "refusal", "refusal": "No more."},
        ],
        "attachments": [{"file_id": "file-sent", "tools": []}, {"file_id": "file-plot"}],
    }
    assert _shown(message) == {
        "id": "msg_1",
        "role": "assistant",
        "created_at": 1_800_000_000,
        "text": "Here it is.\n\nNo more.",
        "files": ["file-sent", "file-plot", "file-made", "https://example.com/a.png"],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": "Well?", "created_at": 1.5},
        {"content": None, "attachments": None, "created_at": None},
        {"content": [None, {"text": None}, {"text": {"value": 7, "annotations": [None]}}], "attachments": ["x", {}]},
    ],
)
def test_an_odd_message_is_shown_as_far_as_it_goes(fields):
    shown = _shown({"id": "msg_1", **fields})
    assert (shown["id"], shown["files"]) == ("msg_1", [])
    assert shown["text"] in ("", "Well?")


def test_an_item_of_a_conversation_is_shown_as_a_message():
    made = {"type": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1"}
    content = [
        {"type": "input_text", "text": "See these."},
        {"type": "input_image", "file_id": None, "image_url": "data:image/png;base64," + "A" * 1000},
        {"type": "input_image", "file_id": "file-plot", "image_url": None},
        {"type": "input_file", "file_id": "file-sent"},
        {"type": "input_file", "filename": "inline.pdf"},
        {"type": "output_text", "text": "I see.", "annotations": [made]},
        {"type": "refusal", "refusal": "No more."},
        {"type": "reasoning_text", "text": "Hm."},
        {},
    ]
    assert _shown_item({"type": "message", "id": "msg_1", "role": "user", "content": content}) == {
        "id": "msg_1",
        "role": "user",
        "created_at": None,
        "text": "See these.\n\nI see.\n\nNo more.",
        "files": [
            "file-sent",
            "inline.pdf",
            "data:image/png;base64,AAAAAAAAAAAAAAAAAA... (1,022 characters)",
            "file-plot",
            "cntr_1/cfile_1",
        ],
    }
    plain = _shown_item({"type": "message", "id": "msg_2", "content": "Well?"})
    assert plain is not None
    assert plain["text"] == "Well?"


@pytest.mark.parametrize("kind", ["reasoning", "function_call", "function_call_output", None])
def test_items_other_than_messages_are_not_shown(kind):
    assert _shown_item({"type": kind, "id": "x_1", "content": [{"type": "reasoning_text", "text": "Hm."}]}) is None


class OnePage:
    """A client whose server has the same answer to every request."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = 0
        self.headers: dict[str, str] = {}
        self.sdk, self.http = None, self

    async def get(self, *_, **__):
        self.asked += 1
        return self


def read(client: OnePage) -> object:
    return asyncio.run(read_thread(Api(client, ENDPOINT), "thread_x"))


def test_reading_stops_when_a_server_repeats_the_same_page():
    client = OnePage('{"data": [{"id": "msg_1", "content": "Well?"}], "has_more": true}')
    transcript = read(client)

    assert isinstance(transcript, Transcript)
    assert [each["text"] for each in transcript.messages] == ["Well?"]
    assert client.asked == 2


def test_a_key_the_server_repeats_is_not_shown():
    REDACTOR.register("sk-secret")
    transcript = read(OnePage('{"data": [{"id": "msg_1", "content": "You sent sk-secret."}]}'))
    assert transcript.messages[0]["text"] == "You sent [key]."


@pytest.mark.parametrize("text", ["<html>", "{}", '{"data": {}}', '{"data": [{"content": "no id"}]}'])
def test_what_is_not_the_api_is_in_doubt(text):
    assert isinstance(read(OnePage(text)), Unknown)


async def test_a_chain_of_responses_is_not_a_conversation(monkeypatch):
    async def find_kind(api, thread):
        return "chain"

    monkeypatch.setattr(transcript, "find_kind", find_kind)
    refused = await read_conversation(cast(Any, None), "resp_1")
    assert isinstance(refused, Rejected)
    assert "threadmill jobs result JOB" in refused.failure.message
