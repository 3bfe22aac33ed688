"""Workers are killed while they send callbacks: each is delivered, always with the same id."""

import time

import pytest
from tests.acceptance.site import until
from tests.receiver import Receiver

from threadmill.store.records.callback import DeliveryState

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.settings(lease_s=3, sweep_interval_s=0.5, callback_hosts=["127.0.0.1"]),
]

KILLS, JOBS = 5, 10


def test_each_callback_is_delivered_through_kills_of_the_worker(settings, start_worker, client, serve, dice):
    receiver = Receiver()
    url = serve(receiver) + "/hook"
    jobs = [client.enqueue({"prompt": f"[[scenario=echo]]\n{n}", "callback_url": url}).id for n in range(JOBS)]
    receiver.answers = False  # so that the first worker is killed while it sends
    worker = start_worker(settings)
    until(lambda: receiver.received, "a callback is being sent")
    worker.kill()
    receiver.answers = True
    for _ in range(KILLS - 1):
        worker = start_worker(settings)
        time.sleep(dice.uniform(0.1, 1.0))
        worker.kill()
    start_worker(settings)
    until(lambda: len(client.callbacks(DeliveryState.DELIVERED)) == JOBS, "all callbacks are delivered", 120)
    assert len(receiver.received) > JOBS, "the kill cut off some"
    assert set(receiver.ids) == {f"msg_{job_id}_1" for job_id in jobs}
