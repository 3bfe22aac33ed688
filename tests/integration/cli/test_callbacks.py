"""The commands that list callbacks, send them again and delete them."""

import json

import pytest
from tests.conftest import environment

from threadmill import Client
from threadmill.store.records.callback import DeliveryState

pytestmark = pytest.mark.integration


@pytest.fixture
def delivery(client: Client):
    """A callback that no worker sends."""
    job = client.enqueue({"prompt": "Hi", "callback_url": "https://shop.example/hook?token=hidden"})
    client.cancel(job.id)
    [delivery] = client.callbacks()
    return delivery


@pytest.fixture
def call(run_cli, settings):
    variables = {"THREADMILL_REDIS_URL": settings.redis_url, "THREADMILL_KEY_PREFIX": settings.key_prefix}
    return lambda *arguments: run_cli("callbacks", *arguments, **variables)


def test_a_list_shows_what_waits_and_no_query(call, delivery):
    for done in (call(), call("list", "--state", "pending", "--json")):
        assert delivery.id in done.stdout
        assert "https://shop.example/hook" in done.stdout
        assert "hidden" not in done.stdout
    assert json.loads(call("list", "--json").stdout)[0]["event"] == "job.cancelled"


def test_a_callback_is_retried_and_dropped_by_its_id(call, delivery, client):
    assert "callbacks due now: 1" in call("retry", delivery.id).stderr
    assert call("drop", delivery.id).returncode == 0
    assert client.callbacks() == []
    missing = call("drop", delivery.id)
    assert missing.returncode == 1
    assert "there is no such callback" in missing.stderr


def test_retry_needs_ids_or_all_dead(call):
    assert "give the ids of callbacks, or --all-dead" in call("retry").stderr
    assert call("retry", "--all-dead").returncode == 0


def test_a_batch_has_one_callback_after_its_last_document(run_cli, settings, client, start_worker, tmp_path, until):
    start_worker(settings)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"document {number}")
    options = ("--name", "night", "--callback-url", "http://10.0.0.9/hook")
    assert run_cli("batch", tmp_path, *options, **environment(settings)).returncode == 0
    until(lambda: client.callbacks(DeliveryState.DEAD))
    [delivery] = client.callbacks()
    assert (delivery.event, delivery.subject, delivery.attempts) == ("batch.ended", "night", 1)


def test_a_wrong_url_is_refused_before_anything_is_enqueued(run_cli, settings, client, tmp_path):
    (tmp_path / "a.txt").write_text("document")
    done = run_cli("batch", tmp_path, "--callback-url", "ftp://shop.example", **environment(settings))
    assert done.returncode != 0
    assert "not an http or https URL" in done.stderr
    assert client.batches() == []
