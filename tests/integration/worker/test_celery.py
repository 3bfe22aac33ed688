"""A real worker process, and clients that know Celery and nothing of us."""

import re
import threading
import uuid

import pytest
from celery import Celery, chain
from tests import shared

from threadmill import Client, JobState

pytestmark = pytest.mark.integration

emulator, base_url, settings = shared.emulator, shared.base_url, shared.settings

TASK = "threadmill.run_job"


@pytest.fixture(autouse=True)
def _afresh(emulator):
    emulator.emulator.reset()


def test_a_plain_celery_client_sends_a_job_and_gets_its_result(shop, settings, emulator):
    sent = shop.send_task(TASK, args=[{"prompt": "Why is the sky blue?"}], queue=settings.queue)
    result = sent.get(timeout=20)

    assert (result["state"], result["failure"]) == ("succeeded", None)
    assert "Why is the sky blue?" in result["text"]
    assert result["job_id"] == sent.id
    assert Client(settings).get(sent.id).state is JobState.SUCCEEDED, "it has a record like any other"
    assert emulator.threads() == 0


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"prompt": "Well?", "promt": "Well?"}, "unknown field `promt`"),
        ({"prompt": "Well?", "temperature": 7}, "`temperature`"),
        ({}, "a job needs `prompt`, `messages` or `images`"),
        ({"prompt": "Well?", "key": "mine"}, "`key`: in a plain Celery message the task id"),
        (42, 'send_task("threadmill.run_job", args=[{"prompt": "..."}])'),
        ([], 'send_task("threadmill.run_job", args=[{"prompt": "..."}])'),
        (None, 'send_task("threadmill.run_job", args=[{"prompt": "..."}])'),
        ("Well?", "send the fields of a job"),
    ],
)
def test_an_invalid_job_gets_a_result_that_names_the_field(shop, settings, emulator, job, says):
    result = shop.send_task(TASK, args=[job], queue=settings.queue).get(timeout=20)

    assert (result["state"], result["failure"]["kind"]) == ("failed", "rejected")
    assert says in result["failure"]["message"]
    assert emulator.stats()["threads"]["created"] == 0


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ({}, "was given nothing"),
        ({"kwargs": {"prompt": "Well?"}}, "was given prompt="),
        ({"args": [{"prompt": "Well?"}, 2]}, "was given dict, int"),
        ({"args": [{"prompt": "Well?"}], "kwargs": {"job": {"prompt": "Well?"}}}, "was given dict, job="),
    ],
)
def test_a_call_with_wrong_arguments_is_shown_the_right_call(shop, settings, call, given):
    result = shop.send_task(TASK, queue=settings.queue, **call).get(timeout=20)

    assert (result["state"], result["failure"]["kind"]) == ("failed", "rejected")
    assert given in result["failure"]["message"]
    assert 'kwargs={"job": {"prompt": "..."}}' in result["failure"]["message"]


def test_a_job_may_be_given_by_name(shop, settings):
    sent = shop.send_task(TASK, kwargs={"job": {"prompt": "Why is the sky blue?"}}, queue=settings.queue)

    assert sent.get(timeout=20)["state"] == "succeeded"


def test_a_job_whose_message_has_expired_fails_and_is_never_asked(shop, settings, emulator):
    sent = shop.send_task(TASK, args=[{"prompt": "Well?"}], queue=settings.queue, expires=-1)

    assert sent.get(timeout=20)["failure"]["kind"] == "overdue"
    assert emulator.stats()["threads"]["created"] == 0


def test_a_job_for_an_endpoint_the_worker_lacks_fails_and_names_it(shop, settings):
    job = {"prompt": "Well?", "endpoint": "elsewhere"}
    result = shop.send_task(TASK, args=[job], queue=settings.queue).get(timeout=20)

    assert (result["state"], result["failure"]["kind"]) == ("failed", "rejected")
    assert "elsewhere" in result["failure"]["message"]


def test_a_failed_job_is_a_result_to_celery_too(shop, settings):
    sent = shop.send_task(TASK, args=[{"prompt": "[[scenario=invalid_prompt]]\nWell?"}], queue=settings.queue)

    assert sent.get(timeout=20)["failure"]["kind"] == "invalid_prompt"
    assert sent.successful()


@pytest.mark.parametrize(("prompt", "ttl"), [("Well?", "result_ttl_s"), ("[[scenario=incomplete]]", "failed_ttl_s")])
def test_celerys_copy_of_a_result_lives_as_long_as_the_record(shop, settings, store, prompt, ttl):
    sent = shop.send_task(TASK, args=[{"prompt": prompt}], queue=settings.queue)
    sent.get(timeout=20)

    kept = [store.ttl(f"celery-task-meta-{sent.id}"), store.ttl(f"{settings.key_prefix}:job:{sent.id}")]
    assert kept == pytest.approx([getattr(settings, ttl)] * 2, abs=60)


def test_revoking_a_running_job_with_terminate_cancels_it(shop, settings, emulator, until):
    sent = shop.send_task(TASK, args=[{"prompt": "[[scenario=stuck]]"}], queue=settings.queue)
    until(lambda: emulator.stats()["runs"]["created"])
    sent.revoke()  # as with any Celery task, that leaves a running one alone
    sent.revoke(terminate=True)

    assert sent.get(timeout=20)["failure"]["message"] == "cancelled while it was running"
    assert emulator.stats()["runs"]["by_status"] == {"cancelled": 1}
    assert Client(settings).get(sent.id).state is JobState.CANCELLED


@pytest.fixture(scope="module")
def events(settings, until):
    """What monitors such as Flower receive, from the first heartbeat on."""
    received = []
    with Celery("monitor", broker=settings.redis_url) as app, app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": received.append})
        thread = threading.Thread(target=lambda: list(receiver.consume(safety_interval=0.1)))
        thread.start()
        until(lambda: received)
        yield received
        receiver.should_stop = True
        thread.join()


@pytest.mark.parametrize(
    ("prompt", "types"),
    [
        ("Well?", ["task-received", "task-started", "task-succeeded"]),
        ("[[scenario=invalid_prompt]]", ["task-received", "task-started", "task-failed"]),
    ],
)
def test_monitors_see_the_life_of_a_job(shop, settings, events, until, prompt, types):
    sent = shop.send_task(TASK, args=[{"prompt": prompt}], queue=settings.queue)
    result = sent.get(timeout=20)

    def seen():
        return [event for event in events if event.get("uuid") == sent.id]

    until(lambda: len(seen()) >= len(types))
    assert [event["type"] for event in seen()] == types
    if result["failure"]:
        assert seen()[-1]["exception"] == f"JobFailed('invalid_prompt: {result['failure']['message']}')"
        assert not seen()[-1]["traceback"]


def test_monitors_see_a_cancelled_job_as_revoked(shop, settings, events, client, emulator, until):
    handle = client.enqueue("[[scenario=stuck]]")
    until(lambda: emulator.stats()["runs"]["created"])
    handle.cancel()
    handle.wait(20)

    until(lambda: any(event["type"] == "task-revoked" and event["uuid"] == handle.id for event in events))


def test_a_worker_is_listed_once_under_its_own_name(shop, settings, events, until):
    [[node]] = shop.control.ping(timeout=5)

    assert re.fullmatch(r"threadmill-[0-9a-f]{8}@.+", node)
    until(lambda: any(event["type"] == "worker-heartbeat" and event["hostname"] == node for event in events))


def test_inspect_shows_the_jobs_a_worker_runs(shop, settings, client, emulator, until):
    handle = client.enqueue("[[scenario=stuck]]")
    until(lambda: emulator.stats()["runs"]["created"])
    active = shop.control.inspect(timeout=5).active()

    assert [task["id"] for tasks in active.values() for task in tasks] == [handle.id]
    handle.cancel()
    assert handle.wait(20).state is JobState.CANCELLED


def test_a_task_chained_after_a_failed_job_fails_too(shop, settings):
    asked = shop.signature(TASK, args=[{"prompt": "[[scenario=invalid_prompt]]"}], queue=settings.queue)
    after = chain(asked, shop.signature(TASK, immutable=True, queue=settings.queue)).apply_async()

    with pytest.raises(Exception, match="invalid_prompt: "):
        after.get(timeout=20)
    assert after.parent.get(timeout=20, propagate=False)["failure"]["kind"] == "invalid_prompt"


def test_many_messages_of_one_job_run_it_once(shop, settings, emulator):
    job_id = str(uuid.uuid4())
    for _ in range(5):
        sent = shop.send_task(TASK, args=[{"prompt": "[[run_s=0.3]]\nWell?"}], task_id=job_id, queue=settings.queue)
    result = sent.get(timeout=20)
    late = shop.send_task(TASK, args=[{"prompt": "Another?"}], task_id=job_id, queue=settings.queue).get(timeout=20)

    assert (result["state"], result["attempts"], result["runs"]) == ("succeeded", 1, 1)
    assert late == result
    assert emulator.stats()["runs"]["created"] == 1


def test_a_failed_job_is_sent_again_and_may_succeed(client, emulator):
    emulator.faults(unauthorised=1, only="runs.create", times=1)
    handle = client.enqueue("Well?")
    assert handle.wait(20).failure.kind == "unauthorised"

    assert client.redrive(handle.id) is JobState.QUEUED
    assert handle.wait(20).state is JobState.SUCCEEDED


def test_a_worker_announces_what_it_can_do(client, settings):
    [worker] = client.store.workers()

    assert worker.concurrency == settings.concurrency
    assert worker.endpoints == ("emulator",)


def test_as_many_jobs_run_at_once_as_the_concurrency_allows(client, emulator, settings):
    handles = client.enqueue_many(f"[[run_s=1]]\nQuestion {n}?" for n in range(settings.concurrency))

    assert all(handle.wait(20).ok for handle in handles)
    assert emulator.stats()["runs"]["peak"] > settings.concurrency * 0.7
    assert emulator.threads() == 0
