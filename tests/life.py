"""All that producers and workers do with Redis: jobs, batches, threads, callbacks, uploads, keys, figures."""

import io
from datetime import UTC, date, datetime

import httpx
from tests.receiver import Receiver
from tests.served import served

from threadmill import Client, JobState, Settings
from threadmill.queue import TASK, make_app
from threadmill.reports.report_run import ReportRun
from threadmill.reports.store import ReportStore
from threadmill.store.records.callback import DeliveryState
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions


def live(producer: Settings, until, serve) -> None:
    """Does it as a producer. A worker runs."""
    client, receiver = Client(producer), Receiver()
    hook = serve(receiver)
    _jobs(client, hook)
    _batches(client, hook)
    until(lambda: len(receiver.received) == 2)
    until(lambda: not client.callbacks(DeliveryState.PENDING))
    _what_is_kept(client)
    _gateway(producer)
    _report(client)


def _jobs(client: Client, hook: str) -> None:
    streamed = client.enqueue({"prompt": "[[scenario=echo]]Well?", "stream": True, "callback_url": hook, "key": "k"})
    assert [event.kind for event in streamed.events(timeout_s=60)][-1]
    assert client.enqueue({"prompt": "[[scenario=echo]]Well?", "stream": True, "callback_url": hook, "key": "k"})
    slow = client.enqueue({"prompt": "[[run_s=60]]Well?", "tenant": "t"})
    slow.cancel()
    assert slow.wait(timeout_s=60).state is JobState.CANCELLED
    assert client.redrive(slow.id) is JobState.QUEUED
    client.cancel(slow.id)
    assert slow.wait(timeout_s=60).state is JobState.CANCELLED
    client.delete(slow.id)
    later = client.enqueue({"prompt": "Well?", "delay_s": 3600, "priority": "high", "tenant": "t"})
    assert client.waits_for(later.id) or later.get().state is JobState.QUEUED
    assert client.open_jobs("t") == 1
    assert client.cancel(later.id) is JobState.CANCELLED
    kept = client.enqueue({"prompt": "[[scenario=echo]]Well?", "keep_thread": True}).wait(timeout_s=60)
    assert client.jobs_on_thread(kept.thread_id, "emulator")
    assert client.enqueue({"prompt": "[[scenario=echo]]And?", "thread": kept.thread_id}).wait(timeout_s=60).ok
    client.delete_thread(kept.thread_id)


def _batches(client: Client, hook: str) -> None:
    jobs = client.enqueue_many([{"prompt": f"[[scenario=echo]]{each}", "batch": "b"} for each in range(3)])
    client.pause("b")
    client.limit_batch("b", 2)
    client.resume("b")
    client.set_batch_callback("b", {"url": hook})
    assert [job.wait(timeout_s=60).text for job in jobs] == ["0", "1", "2"]
    assert client.batch("b").open == 0
    assert len(client.ended_jobs("b")) == 3
    assert client.job_page(batch="b", limit=2).jobs
    assert client.jobs(state=JobState.SUCCEEDED)
    assert not client.redrive_batch("b")
    assert client.cancel_batch("b") == {}


def _what_is_kept(client: Client) -> None:
    [delivery, *_] = client.callbacks()
    assert client.retry_callbacks([delivery.id]) == {delivery.id: "delivered"}
    assert client.drop_callbacks([delivery.id]) == {delivery.id: "dropped"}
    client.pause_endpoint("emulator", "a test")
    assert client.awaited_pools()
    assert client.resume_endpoint("emulator")
    assert client.pools()
    assert client.workers()
    client.retry_leftovers()
    for read in (client.leftovers, client.dead_letters, client.unreadable_jobs, client.threads, client.batches):
        read()
    client.run_durations()
    assert not client.wake("emulator", "run_none")
    client.clear_dead_letters()


def _gateway(settings: Settings) -> None:
    key = Client(settings).create_api_key("caller", requests_per_minute=600, max_open_jobs=5).text
    with served(create_app(settings, GatewayOptions())) as url:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=90) as http:
            files = {"file": ("a.txt", io.BytesIO(b"a text"), "text/plain")}
            assert http.post("/v1/job-files", files=files).is_success
            made = http.post("/v1/jobs", json={"prompt": "[[scenario=echo]]Well?"}).raise_for_status().json()
            ended = http.get(f"/v1/jobs/{made['id']}", params={"wait": 60}).json()
            assert ended["state"] == "succeeded"
    Client(settings).revoke_api_key("caller")


def _report(client: Client) -> None:
    store, night = ReportStore(client.settings), date(2026, 11, 20)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    store.since("daily", now)
    with store.claim("daily", night) as lease:
        assert store.holder("daily", night)
        store.save(ReportRun(report="daily", night=night, begun_at=now), lease)
    assert store.runs("daily") == [store.get("daily", night)]
    assert store.names() == ["daily"]
    store.forget("daily", night)


def celery_client(settings: Settings) -> None:
    """A job of another Celery client, which waits for its result with AsyncResult."""
    with make_app(settings) as shop:
        assert shop.send_task(TASK, args=[{"prompt": "[[scenario=echo]]Well?"}]).get(timeout=60)["text"] == "Well?"
