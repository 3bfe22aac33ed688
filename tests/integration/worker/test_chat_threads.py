"""Jobs on threads of a server with Chat Completions: each knows what was said before it, or fails and says why."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from threadmill import FailureKind, JobState
from threadmill.store.keys import Keys

pytestmark = [
    pytest.mark.integration,
    pytest.mark.endpoint(wire="chat", model="emulator-1", assistant=None),
    pytest.mark.settings(tools={"beat": "tests.integration.worker.test_chat_threads:beat"}),
]


def beat() -> str:
    return "beaten"


@pytest.fixture
def keys(settings) -> Keys:
    return Keys(settings.key_prefix)


def asked(emulator: Any) -> list[list[dict[str, Any]]]:
    """The messages of each request."""
    return [request.json["messages"] for request in emulator.sent("POST", "/chat/completions")]


def users(messages: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for each in messages if each["role"] == "user"]


async def test_a_later_job_on_a_thread_knows_what_was_said(worker, emulator):
    first = await worker.run("My name is Ada.", keep_thread=True)
    second = await worker.run("[[scenario=recall]]Who am I?", thread=first.thread_id)
    third = await worker.run("[[scenario=recall]]And before?", thread=first.thread_id, keep_thread=True)

    assert [each.state for each in (first, second, third)] == [JobState.SUCCEEDED] * 3
    assert "> My name is Ada." in second.text
    assert second.thread_id == third.thread_id == first.thread_id
    assert [each["role"] for each in asked(emulator)[-1]] == ["user", "assistant"] * 2 + ["user"]
    [kept] = worker.client.threads()
    assert (kept.kind, kept.jobs, kept.latest, kept.key) == ("local", 3, None, None)
    assert kept.expires_at - worker.client.store.now() > timedelta(days=29)
    assert len(worker.client.store.transcript(kept).items) == 6


async def test_calls_of_tools_are_part_of_the_thread(worker, emulator):
    first = await worker.run("[[scenario=tools tool=beat]]Well?", tools=["beat"], keep_thread=True)
    await worker.run("And now?", thread=first.thread_id)

    assert [each["role"] for each in asked(emulator)[-1]] == ["user", "assistant", "tool", "assistant", "user"]
    [_, called, output, *_] = asked(emulator)[-1]
    assert output["tool_call_id"] == called["tool_calls"][0]["id"]
    assert output["content"] == "beaten"


@pytest.mark.endpoint(max_reruns=0)
async def test_a_job_that_fails_leaves_the_thread_as_it_was_and_the_next_takes_its_turn(worker, emulator):
    first = await worker.run("My name is Ada.", keep_thread=True)
    failing = worker.create("[[scenario=failed]]Fail!", thread=first.thread_id)
    following = worker.create("[[scenario=recall]]Who am I?", thread=first.thread_id)
    failed, second = await worker.see_through(failing), await worker.see_through(following)

    assert (failed.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert users(asked(emulator)[-1]) == ["My name is Ada.", "[[scenario=recall]]Who am I?"]


async def test_a_cancelled_job_leaves_the_thread_as_it_was(worker, emulator, until):
    first = await worker.run("My name is Ada.", keep_thread=True)
    slow = worker.create("[[run_s=60]]Take your time.", thread=first.thread_id)
    task = asyncio.create_task(worker.see_through(slow))
    await asyncio.to_thread(until, lambda: len(asked(emulator)) == 2)
    worker.client.cancel(slow)
    assert (await task).state is JobState.CANCELLED

    await worker.run("Who am I?", thread=first.thread_id)
    assert users(asked(emulator)[-1]) == ["My name is Ada.", "Who am I?"]


async def test_a_job_on_an_expired_or_unknown_thread_fails_without_a_call(worker, store, keys, emulator):
    first = await worker.run("My name is Ada.", keep_thread=True)
    store.delete(keys.transcript(f"emulator/{first.thread_id}"))
    lost = await worker.run("Who am I?", thread=first.thread_id)
    worker.client.delete_thread(first.thread_id)
    deleted = await worker.run("Who am I?", thread=first.thread_id)

    assert "have expired or were lost" in lost.failure.message
    assert "it has expired (`thread_ttl_s` after its last job), was deleted" in deleted.failure.message
    assert lost.failure.kind is deleted.failure.kind is FailureKind.REJECTED
    assert len(asked(emulator)) == 1


async def test_a_thread_of_another_kind_of_server_is_not_continued(worker, store, keys, emulator):
    first = await worker.run("My name is Ada.", keep_thread=True)
    name = f"emulator/{first.thread_id}"
    store.hset(keys.threads, name, store.hget(keys.threads, name).replace('"local"', '"chain"'))
    result = await worker.run("Who am I?", thread=first.thread_id)

    assert "had another `kind`" in result.failure.message


@pytest.mark.endpoint(transcript_limit_chars=3_000)
async def test_a_long_thread_loses_its_oldest_messages(worker, emulator):
    thread = (await worker.run("Number 0. " + "x" * 1_000, keep_thread=True)).thread_id
    for number in range(1, 6):
        await worker.run(f"Number {number}. " + "x" * 1_000, thread=thread)

    [kept] = worker.client.threads()
    left = worker.client.store.transcript(kept).items
    assert kept.dropped + len(left) == 12
    assert kept.dropped > 0
    assert users(left)[-1].startswith("Number 5.")
    assert users(asked(emulator)[-1])[0] != "Number 0."
    assert [each["role"] for each in left] == ["user", "assistant"] * (len(left) // 2)


async def test_a_prompt_of_a_megabyte_can_be_followed_up(worker, emulator):
    parts = [{"role": "user", "content": "x" * 250_000} for _ in range(4)]
    first = await worker.run(None, messages=[*parts, {"role": "user", "content": "What is this?"}], keep_thread=True)
    second = await worker.run("And then?", thread=first.thread_id)

    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert len(users(asked(emulator)[-1])) == 6


async def test_a_redriven_job_makes_a_thread_of_its_own(worker, emulator):
    cut = worker.create("[[scenario=incomplete]]Well?", keep_thread=True)
    first = await worker.see_through(cut)
    assert first.failure.kind is FailureKind.INCOMPLETE
    worker.client.redrive(cut)
    second = await worker.see_through(cut)

    assert {first.thread_id, second.thread_id} == {each.id for each in worker.client.threads()}
    assert first.thread_id != second.thread_id


@pytest.mark.endpoint(api_key_env=None, api_key_envs=("FIRST_KEY", "SECOND_KEY"))
async def test_a_thread_is_continued_with_any_key(worker, emulator, store, keys, monkeypatch):
    monkeypatch.setenv("FIRST_KEY", "first-key-0123456789")
    monkeypatch.setenv("SECOND_KEY", "second-key-0123456789")
    first = await worker.run("My name is Ada.", keep_thread=True)

    assert worker.client.store.key_of("emulator", first.thread_id, None) is None
    assert (await worker.run("Who am I?", thread=first.thread_id)).ok
