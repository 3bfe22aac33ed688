"""`threadmill gateway` as a process: with everything it needs, and its end."""

import shlex
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from tests.acceptance.site import THREADMILL, Child, until
from tests.receiver import Receiver

from threadmill.store.records.callback import DeliveryState
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.acceptance

#: For an answer that the server holds back.
TIMEOUT_S = 120

KILLS, JOBS = 20, 40


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def local(tmp_path):
    """`threadmill gateway --local` in an empty folder, and its URL."""
    port = free_port()
    command = [THREADMILL, "gateway", "--local", "--endpoint", "emulator", "--port", str(port)]
    in_folder = ["sh", "-c", f"cd {tmp_path} && exec {shlex.join(command)}"]
    gateway, url = Child("gateway", in_folder, tmp_path / "gateway.log", {}), f"http://127.0.0.1:{port}"
    until(lambda: is_ready(url) or gateway.check(), "the gateway is ready")
    yield gateway, url
    gateway.kill()


def test_local_brings_all_that_a_job_needs_and_sigterm_ends_all_of_it(local):
    gateway, url = local
    job = httpx.post(f"{url}/v1/jobs", json={"prompt": "Why is the sky blue?"}).json()
    ended = httpx.get(f"{url}/v1/jobs/{job['id']}", params={"wait": 60}, timeout=TIMEOUT_S).json()
    assert (ended["state"], ended["endpoint"]) == ("succeeded", "emulator")
    gateway.signal(signal.SIGTERM)
    assert gateway.exit_code() == 0
    assert not is_ready(url)


@pytest.fixture
def start_gateway(site):
    """Starts gateways of the site on one port. Each is ready when it is returned."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def start() -> tuple[Child, str]:
        command = [sys.executable, "-m", "threadmill_gateway", "--port", str(port)]
        gateway = site.start("gateway", command, **site.environment)
        until(lambda: is_ready(url) or gateway.check(), "the gateway is ready")
        return gateway, url

    return start


def test_sigterm_ends_streams_and_answers_that_are_held_back(start_gateway):
    gateway, url = start_gateway()
    job = httpx.post(f"{url}/v1/jobs", json={"prompt": "Why?"}).json()
    with ThreadPoolExecutor() as pool:
        held = pool.submit(httpx.get, f"{url}/v1/jobs/{job['id']}", params={"wait": 60}, timeout=TIMEOUT_S)
        model = {"model": "emulator", "input": "Why?"}
        response = pool.submit(httpx.post, f"{url}/v1/responses", json=model, timeout=TIMEOUT_S)
        until(lambda: len(httpx.get(f"{url}/v1/jobs").json()["data"]) == 2 or None, "both jobs are queued")
        with httpx.stream("GET", f"{url}/v1/jobs/{job['id']}/events", timeout=TIMEOUT_S) as stream:
            lines = stream.iter_lines()
            next(lines)
            gateway.signal(signal.SIGTERM)
            for _ in lines:  # the stream ends
                pass
        assert held.result().json()["state"] == "queued"
        assert (response.result().status_code, response.result().headers["Retry-After"]) == (503, "5")
        assert "Idempotency-Key" in response.result().text
    assert gateway.exit_code() == 0


@pytest.mark.settings(lease_s=3, sweep_interval_s=0.5, callback_hosts=["127.0.0.1"])
def test_each_job_has_one_callback_through_kills_of_gateway_and_worker(site, start_gateway, serve, dice):
    receiver = Receiver()
    hook = serve(receiver) + "/hook"
    gateway, url = start_gateway()
    worker = site.start_worker()

    def enqueue(number: int) -> str:
        """Sends a request until it is answered, as a client with an idempotency key can do."""
        body = {"prompt": f"[[scenario=echo]]\n{number}", "callback_url": hook}
        while True:
            with suppress(httpx.TransportError):
                reply = httpx.post(f"{url}/v1/jobs", json=body, headers={"Idempotency-Key": f"order-{number}"})
                return reply.raise_for_status().json()["id"]
            time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        enqueued = pool.map(enqueue, range(JOBS))
        for number in range(KILLS):
            time.sleep(dice.uniform(0, 0.5))
            if number % 2:
                worker.kill()
                worker = site.start_worker()
            else:
                gateway.kill()
                gateway, _ = start_gateway()
        jobs = list(enqueued)
    until(lambda: len(site.client.callbacks(DeliveryState.DELIVERED)) == JOBS, "all callbacks are delivered", 120)
    assert len(set(jobs)) == JOBS
    assert len(site.client.jobs(limit=2 * JOBS)) == JOBS
    assert set(receiver.ids) == {f"msg_{job_id}_1" for job_id in jobs}


def test_sigterm_ends_pages_that_are_open(start_gateway):
    gateway, url = start_gateway()
    with httpx.stream("GET", url, headers={"Accept": "text/event-stream"}, timeout=TIMEOUT_S) as page:
        lines = page.iter_lines()
        until(lambda: next(lines) == "event: alive", "the page is open")
        gateway.signal(signal.SIGTERM)
        list(lines)
    assert gateway.exit_code() == 0
