"""Webhooks of the emulator, which OpenAI's SDK verifies."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.receiver import Receiver

from threadmill_emulator.__main__ import arguments, options
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.webhooks import WebhookPlan
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OPTIONS = Options(run_s=0.1, batch_s=0.1, webhook_secret=SECRET)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def send(
    server: Running, client: OpenAI, receiver: Receiver, serve: Callable[[Any], str]
) -> Iterator[Callable[..., Any]]:
    """Has webhooks sent to the receiver."""
    url = serve(receiver)

    def change(**plan: Any) -> Any:
        return httpx.post(f"{server.url}/_webhooks", json={"url": url, **plan}).raise_for_status().json()

    yield change
    change(url=None)


def events(receiver: Receiver) -> list[tuple[str, str]]:
    """The types and objects of what was received, after the SDK has verified it."""
    sdk = OpenAI(api_key="k", webhook_secret=SECRET)
    read = [sdk.webhooks.unwrap(body, headers) for headers, body in receiver.received]
    return [(event.type, event.data.id) for event in read]


@pytest.mark.parametrize(
    ("scenario", "event"),
    [
        ("emulator", "response.completed"),
        ("tools", "response.completed"),
        ("failed", "response.failed"),
        ("incomplete", "response.incomplete"),
    ],
)
def test_the_end_of_a_background_response_is_told(client, send, receiver, until, scenario, event):
    send()
    made = client.responses.create(model="emulator", input=f"[[scenario={scenario}]] Hi", background=True)
    until(lambda: receiver.received)
    assert events(receiver) == [(event, made.id)]


def test_a_cancelled_response_is_told(client, send, receiver, until):
    send()
    made = client.responses.create(model="emulator", input="[[run_s=60]] Hi", background=True)
    client.responses.cancel(made.id)
    until(lambda: receiver.received)
    assert events(receiver) == [("response.cancelled", made.id)]


def test_a_response_that_was_awaited_is_not_told(client, send, receiver, until):
    send()
    client.responses.create(model="emulator", input="Hi")
    made = client.responses.create(model="emulator", input="Hi", background=True)
    until(lambda: receiver.received)
    assert events(receiver) == [("response.completed", made.id)]


def test_a_batch_is_told(client, send, receiver, until):
    send()
    request = {"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"model": "emulator", "input": "Hi"}}
    file = client.files.create(file=("in.jsonl", json.dumps(request).encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    until(lambda: receiver.received)
    assert events(receiver) == [("batch.completed", made.id)]


def test_a_webhook_that_is_not_taken_is_sent_again_with_the_same_id(client, send, receiver, until):
    send()
    receiver.statuses = [500, 302]
    client.responses.create(model="emulator", input="Hi", background=True)
    until(lambda: len(receiver.received) == 3)
    assert len(set(receiver.ids)) == 1


def test_webhooks_get_lost_and_repeat(client, send, receiver, until):
    send(times=0)
    lost = client.responses.create(model="emulator", input="Hi", background=True)
    until(lambda: client.responses.retrieve(lost.id).status == "completed")
    send(times=3, delay_s=0.1)
    made = client.responses.create(model="emulator", input="Hi", background=True)
    until(lambda: len(receiver.received) == 3)
    assert set(events(receiver)) == {("response.completed", made.id)}


def test_a_bad_plan_is_refused(send):
    with pytest.raises(httpx.HTTPStatusError):
        send(times=-1)


def test_the_command_line_sets_them(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    url = "http://127.0.0.1:1/hook"
    given = arguments(["--webhook-url", url, "--webhook-secret-env", "HOOK_SECRET", "--webhook-times", "2"])
    made = options(given)
    assert (made.webhooks.url, made.webhooks.times, made.webhook_secret) == (url, 2, SECRET)
    assert SECRET not in repr(made)


@pytest.mark.parametrize("value", ["", "sk-no-webhook-secret", "whsec_not base64"])
def test_a_bad_secret_is_refused_without_showing_it(monkeypatch, capsys, value):
    monkeypatch.setenv("HOOK_SECRET", value)
    with pytest.raises(SystemExit):
        arguments(["--webhook-secret-env", "HOOK_SECRET"])
    said = capsys.readouterr().err
    assert "HOOK_SECRET" in said
    assert not value or value not in said


def test_a_webhook_without_a_secret_has_no_signature(receiver, serve, until, emulate):
    with emulate(webhooks=WebhookPlan(url=serve(receiver))) as other:
        with OpenAI(base_url=other.base_url, api_key="k") as client:
            client.responses.create(model="emulator", input="Hi", background=True)
        until(lambda: receiver.received)
    sdk = OpenAI(api_key="k", webhook_secret=SECRET)
    [(headers, body)] = receiver.received
    with pytest.raises((openai.InvalidWebhookSignatureError, ValueError)):
        sdk.webhooks.unwrap(body, headers)
