"""Callbacks: a POST request when a job or batch has ended."""

import asyncio
import base64
import time
from email.utils import formatdate

import pytest
from tests.receiver import Receiver

from threadmill.store.records.callback import DeliveryState
from threadmill_worker import process
from threadmill_worker.callbacks import schedule
from threadmill_worker.callbacks.post import post
from threadmill_worker.maintenance.callbacks import SENDERS, SENDERS_OF_HOST

pytestmark = [pytest.mark.integration, pytest.mark.settings(callback_hosts=("127.0.0.1",))]

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setattr(schedule, "DELAYS_S", (0.01,) * 3)
    monkeypatch.setattr(process, "CALLBACKS_S", 0.05)
    return Receiver()


@pytest.fixture
def url(serve, receiver):
    return serve(receiver) + "/hook?token=hidden"


@pytest.fixture
def until_ended(worker, until):
    """Waits until no callback is pending. Returns all."""

    async def wait():
        await asyncio.to_thread(until, lambda: not worker.client.callbacks(DeliveryState.PENDING))
        return worker.client.callbacks()

    return wait


async def test_a_job_that_has_ended_is_delivered_with_its_result(worker, url, receiver, until_ended, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    result = await worker.run(callback_url=url, callback_secret_env="HOOK_SECRET", metadata={"order": "7"})
    [delivery] = await until_ended()
    assert (delivery.state, delivery.attempts, delivery.status) == ("delivered", 1, 204)
    [body] = receiver.bodies()
    assert body["type"] == "job.succeeded"
    assert body["data"]["result"]["text"] == result.text
    assert body["data"]["metadata"] == {"order": "7"}
    [(headers, raw)] = receiver.received
    assert headers["webhook-id"] == delivery.id
    library = pytest.importorskip("standardwebhooks", reason="comes with the extra `dev`")
    library.Webhook(SECRET).verify(raw, headers)


async def test_a_queued_job_that_is_cancelled_is_delivered_too(worker, url, receiver, until_ended):
    worker.client.cancel(worker.create(callback_url=url))
    worker.start()
    await until_ended()
    assert [body["type"] for body in receiver.bodies()] == ["job.cancelled"]


async def test_errors_are_tried_again_with_the_same_id(worker, url, receiver, until_ended):
    receiver.statuses = [500, 302]
    await worker.run(callback_url=url)
    [delivery] = await until_ended()
    assert (delivery.state, delivery.attempts) == ("delivered", 3)
    assert receiver.ids == [delivery.id] * 3


async def test_a_callback_is_dead_after_its_last_attempt_and_can_be_retried(worker, url, receiver, until_ended):
    receiver.statuses = [500] * 4
    await worker.run(callback_url=url)
    [delivery] = await until_ended()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("dead", 4, "HTTP 500")

    assert worker.client.retry_callbacks() == {delivery.id: "pending"}
    [delivery] = await until_ended()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert set(receiver.ids) == {delivery.id}
    assert worker.client.retry_callbacks([delivery.id, "msg_x"]) == {delivery.id: "delivered", "msg_x": "missing"}


async def test_a_receiver_that_is_gone_gets_no_second_request(worker, url, receiver, until_ended):
    receiver.statuses = [410]
    await worker.run(callback_url=url)
    [delivery] = await until_ended()
    assert (delivery.state, delivery.attempts, delivery.status) == ("dead", 1, 410)


async def test_a_worker_without_the_secret_leaves_the_callback_pending(worker, url, receiver, until):
    await worker.run(callback_url=url, callback_secret_env="NO_SUCH_SECRET")
    await asyncio.to_thread(until, lambda: (worker.client.callbacks() or [None])[0].reason)
    assert "NO_SUCH_SECRET" in worker.client.callbacks()[0].reason
    assert receiver.received == []


@pytest.mark.settings(callback_hosts=())
async def test_a_local_address_is_refused_unless_a_setting_allows_it(worker, url, receiver, until_ended):
    await worker.run(callback_url=url)
    [delivery] = await until_ended()
    assert delivery.state == "dead"
    assert "callback_hosts" in delivery.reason
    assert "hidden" not in delivery.reason
    assert receiver.received == []


async def test_a_redriven_job_ends_twice_in_order(worker, url, receiver, until_ended):
    job_id = worker.create(callback_url=url)
    worker.client.cancel(job_id)
    worker.client.redrive(job_id)
    worker.client.cancel(job_id)
    worker.start()
    await until_ended()
    assert receiver.ids == [f"msg_{job_id}_1", f"msg_{job_id}_2"]


async def test_a_batch_has_one_callback_after_its_last_job(worker, url, receiver, until_ended):
    jobs = [worker.create(batch="night") for _ in range(3)]
    worker.client.set_batch_callback("night", {"url": url})
    for job_id in jobs[:2]:
        await worker.see_through(job_id)
    assert worker.client.callbacks() == []
    await worker.see_through(jobs[2])
    [delivery] = await until_ended()
    assert receiver.bodies()[0]["data"]["jobs"]["succeeded"] == 3
    worker.client.cancel(worker.create(batch="night"))
    assert [each.id for each in await until_ended()] == [delivery.id], "once for each time it is set"


async def test_a_batch_that_has_ended_already_is_delivered_at_once(worker, url, receiver, until_ended):
    worker.client.cancel(worker.create(batch="night"))
    worker.client.set_batch_callback("night", {"url": url})
    worker.start()
    await until_ended()
    assert [body["type"] for body in receiver.bodies()] == ["batch.ended"]


async def test_a_dropped_callback_is_not_sent(worker, url, receiver):
    worker.client.cancel(worker.create(callback_url=url))
    [delivery] = worker.client.callbacks()
    assert worker.client.drop_callbacks([delivery.id, "msg_x"]) == {delivery.id: "dropped", "msg_x": "missing"}
    worker.start()
    await worker.process._callbacks.once()
    assert receiver.received == []


async def test_a_slow_receiver_is_given_up(serve):
    slow = Receiver()
    slow.answers = False
    reply = await post(serve(slow), b"{}", {"webhook-id": "msg_1"}, ["127.0.0.1"], 0.0, timeout_s=0.2)
    assert reply.reason == "no reply within 0.2 s"
    assert not reply.is_taken


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1."),
        *("localhost", "0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"),
    ],
)
async def test_no_form_of_a_local_address_is_called(serve, host):
    receiver = Receiver()
    port = serve(receiver).rpartition(":")[2]
    reply = await post(f"http://{host}:{port}/", b"{}", {}, [], 0.0)
    assert reply.status is None
    assert receiver.received == []


class Rebinding:
    """A resolver whose answer changes: the address that is checked must be the one that is called."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=0):
        address = self.answers.pop(0)
        return [{"hostname": host, "host": address, "port": port, "family": 2, "proto": 6, "flags": 0}]

    async def close(self):
        pass


async def test_a_name_that_changes_its_address_is_not_called_at_a_local_one(serve):
    receiver = Receiver()
    port = serve(receiver).rpartition(":")[2]
    reply = await post(f"http://rebind.example:{port}/", b"{}", {}, [], 0.0, Rebinding("127.0.0.1", "127.0.0.1"))
    assert reply.is_final
    assert "rebind.example leads to an address that is not public" in reply.reason
    assert receiver.received == []


async def test_retry_after_is_read_as_seconds_or_a_date(serve):
    receiver = Receiver()
    url = serve(receiver)
    in_an_hour = formatdate(time.time() + 3600, usegmt=True).encode()
    for text, least_s, most_s in ((b"90", 90, 90), (in_an_hour, 3000, 3600), (b"soon", 0, 0)):
        receiver.statuses, receiver.headers = [503], [(b"retry-after", text)]
        reply = await post(url, b"{}", {"webhook-id": "msg_1"}, ["127.0.0.1"], time.time())
        assert least_s <= reply.retry_after_s <= most_s


@pytest.mark.settings(callback_hosts=("127.0.0.1", "localhost"))
async def test_a_receiver_that_hangs_delays_only_its_own_callbacks(worker, url, receiver, until, serve):
    hung = Receiver()
    hung.answers = False
    elsewhere = serve(hung).replace("127.0.0.1", "localhost") + "/hook"
    for _ in range(150):
        worker.client.cancel(worker.create(callback_url=elsewhere))
    for _ in range(5):
        worker.client.cancel(worker.create(callback_url=url))
    worker.start()
    await asyncio.to_thread(until, lambda: len(receiver.received) == 5)
    assert len(hung.received) <= SENDERS_OF_HOST


async def test_more_callbacks_than_senders_are_sent_one_after_the_other(
    worker, url, receiver, until_ended, monkeypatch
):
    monkeypatch.setattr(process, "CALLBACKS_S", 3600)
    for _ in range(2 * SENDERS):
        worker.client.cancel(worker.create(callback_url=url))
    worker.start()
    await until_ended()
    assert len(receiver.received) == 2 * SENDERS
