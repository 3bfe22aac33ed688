"""Enqueuing: jobs are validated first, and created once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from threadmill import Client, InvalidJob, JobState, KeyConflict, PromptJob, SettingsError, StoreUnavailable
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def base_url():
    return "http://127.0.0.1:9/v1"  # nothing here asks a server


def keys_of(store, settings) -> list[str]:
    return sorted(store.keys(f"{settings.key_prefix}*"))


def test_a_prompt_a_mapping_and_a_prompt_job_are_the_same(client):
    jobs = ["Well?", {"prompt": "Well?"}, PromptJob(prompt="Well?")]
    handles = client.enqueue_many(jobs)

    assert len({handle.id for handle in handles}) == 3, "without a key each is a job of its own"
    assert [client.get(handle.id).job for handle in handles] == [PromptJob(prompt="Well?", endpoint="emulator")] * 3
    assert [(handle.state, handle.is_new) for handle in handles] == [(JobState.QUEUED, True)] * 3


async def test_a_message_contains_only_the_id_of_the_job(worker, client, store, settings):
    await worker.process._heartbeat()  # offers slots
    handle = client.enqueue({"prompt": "A secret of ours", "metadata": {"order": "4711"}})

    [message] = store.lrange(settings.queue, 0, -1)
    assert handle.id in message
    assert "secret" not in message
    assert "4711" not in message


def test_concurrent_calls_with_one_key_create_one_job(settings, store):
    clients = [Client(settings) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        handles = list(threads.map(lambda client: client.enqueue({"prompt": "Well?", "key": "once"}), clients * 5))

    assert len({handle.id for handle in handles}) == 1
    assert sum(handle.is_new for handle in handles) == 1
    assert store.zcard(f"{settings.key_prefix}:jobs:queued") == 1


def test_reusing_a_key_for_other_content_is_a_conflict(client):
    first = client.enqueue({"prompt": "Well?", "key": "once"})

    with pytest.raises(KeyConflict, match=rf"'once' belongs to job {first.id}.*prompt: 'Well\?' there, 'Now\?' here"):
        client.enqueue({"prompt": "Now?", "key": "once"})


def test_the_batch_name_is_not_part_of_the_content(client):
    first = client.enqueue({"prompt": "Well?", "key": "once"})

    assert client.enqueue({"prompt": "Well?", "key": "once", "batch": "b"}).id == first.id


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"promt": "Well?"}, "unknown field `promt`"),
        ({"prompt": "Well?", "metadata": {"k": "v" * 513}}, "`metadata.k`"),
        ({"prompt": "Well?", "metadata": {"k" * 65: "v"}}, "`metadata"),
        ({"prompt": "Well?", "metadata": {str(n): "v" for n in range(16)}}, "`metadata`"),
        ({"prompt": " \n"}, "`prompt`: is blank"),
        ({"prompt": "x" * 256_001}, "`prompt`"),
        ({}, "needs `prompt`, `messages` or `images`"),
        (
            {"prompt": "Well?", "tools": ["weather"]},
            "there is no tool 'weather' (known: file_search, code_interpreter)",
        ),
        ({"prompt": "Well?", "timeout_s": 0}, "`timeout_s`"),
        ({"prompt": "Well?", "deadline_at": datetime(2030, 1, 1)}, "`deadline_at`"),
        ({"messages": [{"role": "system", "content": "x"}]}, "`messages.0.role`"),
    ],
)
def test_an_invalid_job_is_refused_with_the_name_of_its_field(client, store, settings, job, says):
    with pytest.raises(InvalidJob) as refused:
        client.enqueue_many([{"prompt": "A good one"}, job])

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert keys_of(store, settings) == [], "not even the good one"


def test_an_unknown_endpoint_is_refused_with_the_known_ones(client, store, settings):
    with pytest.raises(SettingsError, match=r"there is no endpoint 'azure'; the settings have emulator"):
        client.enqueue({"prompt": "Well?", "endpoint": "azure"})
    assert keys_of(store, settings) == []


@pytest.mark.endpoint(kind="assistants")
def test_a_job_without_any_assistant_is_refused(client):
    with pytest.raises(InvalidJob, match=r"no assistant: .*\[endpoints.emulator\]"):
        client.enqueue("Well?")


class TestAKeyThatIsNotHere:
    pytestmark = pytest.mark.endpoint(api_key_env="TEST_KEY")

    def test_is_refused_and_nothing_is_enqueued(self, client, store, settings):
        with pytest.raises(SettingsError, match=r"needs its key in TEST_KEY, which is not set: export TEST_KEY="):
            client.enqueue("Well?")
        assert keys_of(store, settings) == []

    def test_is_accepted_when_a_worker_has_it(self, client, store, settings):
        worker = {"name": "w", "seen_at": datetime.now(UTC).isoformat(), "concurrency": 1, "jobs": 0}
        store.hset(f"{settings.key_prefix}:workers", "w", json.dumps(worker | {"endpoints": ["emulator"]}))

        assert client.enqueue("Well?").state is JobState.QUEUED

    def test_is_refused_when_the_workers_lack_it_too(self, client, store, settings):
        worker = {"name": "w", "seen_at": datetime.now(UTC).isoformat(), "concurrency": 1, "jobs": 0}
        store.hset(f"{settings.key_prefix}:workers", "w", json.dumps(worker | {"endpoints": ["davinci"]}))

        with pytest.raises(SettingsError, match="TEST_KEY"):
            client.enqueue("Well?")

    def test_is_no_matter_when_it_is_here(self, client, store, settings, monkeypatch):
        monkeypatch.setenv("TEST_KEY", "sk-here")
        client.enqueue("Well?")

        assert all("sk-here" not in str(store.dump(name)) for name in keys_of(store, settings))


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.enqueue("Well?"),
        lambda client: client.get("x"),
        lambda client: client.wait("x", 0),
        lambda client: client.cancel("x"),
        lambda client: client.redrive("x"),
        lambda client: client.jobs(),
        lambda client: client.leftovers(),
    ],
)
def test_an_unavailable_redis_is_named_without_its_password(settings, call):
    port = free_port()
    url = f"redis://someone:s3cret@127.0.0.1:{port}/0"
    client = Client(settings.model_copy(update={"redis_url": url}))

    with pytest.raises(StoreUnavailable) as refused:
        call(client)
    assert f"redis://127.0.0.1:{port}/0 does not answer" in str(refused.value)
    assert "set REDIS_URL" in str(refused.value)
    assert "s3cret" not in str(refused.value)
