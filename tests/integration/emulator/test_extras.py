"""What some servers have and the public ones lack: idempotency keys, and a list of responses."""

import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI

from threadmill_emulator.scripting.options import EXTRAS, Options
from threadmill_emulator.testing import Running, running

pytestmark = pytest.mark.integration

ASKED = {"model": "emulator", "input": "Why?", "background": True}


@pytest.fixture
def server() -> Iterator[Running]:
    with running(Options(run_s=0, extras=frozenset(EXTRAS))) as server:
        yield server


@pytest.fixture
def client(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        yield client


def test_a_key_is_answered_with_its_first_reply(client, server):
    first, second = (client.responses.create(**ASKED, extra_headers={"Idempotency-Key": "a"}) for _ in range(2))
    other = client.responses.create(**ASKED, extra_headers={"Idempotency-Key": "b"})

    assert (first.id == second.id, first.id == other.id) == (True, False)
    assert server.emulator.state.responses.created == 2


def test_a_key_of_a_chat_completion(client, server):
    asked = {"model": "emulator", "messages": [{"role": "user", "content": "Why?"}]}
    keyed = {"extra_headers": {"Idempotency-Key": "a"}}
    first, second = (client.chat.completions.create(**asked, **keyed) for _ in range(2))

    assert first.id == second.id
    assert server.emulator.state.completions.created == 1


def test_a_client_that_hung_up_may_use_its_key_again(client, server):
    asked = {"model": "emulator", "messages": [{"role": "user", "content": "[[run_s=1]]Why?"}]}
    keyed = {"extra_headers": {"Idempotency-Key": "a"}}
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**asked, **keyed, timeout=0.2)
    while server.emulator.state.completions.active:
        time.sleep(0.01)

    assert client.chat.completions.create(**asked, **keyed).choices
    assert server.emulator.state.completions.created == 2


def test_a_key_is_for_one_request(client):
    client.responses.create(**ASKED, extra_headers={"Idempotency-Key": "a"})

    with pytest.raises(openai.BadRequestError, match="used for another request"):
        client.responses.create(**{**ASKED, "input": "How?"}, extra_headers={"Idempotency-Key": "a"})


def test_a_refusal_is_not_kept(client):
    keyed = {"extra_headers": {"Idempotency-Key": "a"}}
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="emulator", input="Why?", temperature=9, **keyed)

    assert client.responses.create(**ASKED, **keyed).id


def test_responses_are_listed_with_their_metadata(client):
    made = [client.responses.create(**ASKED, metadata={"number": str(number)}) for number in range(3)]

    body = client.get("/responses", cast_to=object, options={"params": {"limit": 2, "order": "desc"}})

    assert [each["id"] for each in body["data"]] == [made[2].id, made[1].id]
    assert (body["data"][0]["metadata"], body["has_more"]) == ({"number": "2"}, True)


def test_the_public_servers_have_neither():
    with running(Options()) as server, OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        first, second = (client.responses.create(**ASKED, extra_headers={"Idempotency-Key": "a"}) for _ in range(2))
        assert first.id != second.id
        reply = httpx.get(f"{server.base_url}/responses", headers={"Authorization": "Bearer k"})
        assert reply.status_code == 405
