"""The ports of a real worker: probes, metrics, and what they say of a consumer that takes no messages."""

import json
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from threadmill import Client
from threadmill.queue import make_app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

#: A module of tools whose signal handler blocks Celery's thread as soon as a message arrives.
BLOCKING = """\
import threading
from celery.signals import task_received

@task_received.connect(weak=False)
def block(**_):
    threading.Event().wait()

def tool() -> str:
    "A tool."
    return ""
"""


def asked(port, path):
    """The status and the body of a page; (0, '') while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def samples(port):
    """The values of all samples, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(asked(port, "/metrics")[1])
        for sample in family.samples
    }


def value(port, name, **labels):
    return samples(port).get((f"threadmill_{name}", frozenset(labels.items())))


def with_ports(settings):
    ports = dict.fromkeys(("worker_health_port", "worker_metrics_port"), free_port())
    return settings.model_copy(update={**ports, "worker_monitoring_host": "127.0.0.1"})


def test_a_worker_that_works(settings, start_worker, until):
    settings = with_ports(settings)
    port, client = settings.worker_health_port, Client(settings)
    start_worker(settings)
    assert until(lambda: asked(port, "/livez")[0] == 200)
    assert json.loads(asked(port, "/readyz")[1])["reasons"] == []
    for handle in client.enqueue_many(["Question 1", "Question 2", "[[scenario=failed]]Question 3"]):
        handle.wait(60)

    until(lambda: value(port, "claims_total") == 3)
    ended = {"endpoint": "emulator", "state": "succeeded", "failure": ""}
    until(lambda: value(port, "jobs_ended_total", **ended) == 2)
    for histogram in ("time_to_result", "run_duration", "result_lag", "http_request_duration"):
        assert value(port, f"{histogram}_seconds_count", endpoint="emulator") >= 2
    assert value(port, "http_requests_total", endpoint="emulator", status="2xx") >= 9
    assert value(port, "consumer_up") == 1
    assert value(port, "slots", state="busy") + value(port, "slots", state="free") == settings.concurrency
    [worker] = until(lambda: [each for each in client.workers() if each.is_consuming])
    assert worker.memory_bytes > 10_000_000


def test_without_a_port_there_is_no_server(settings, start_worker, until):
    start_worker(settings)
    assert until(lambda: Client(settings).workers()[0].is_consuming), "it is known all the same"


@pytest.mark.settings(deaf_limit_s=2, tools={"tool": "blocking:tool"})
def test_a_consumer_that_is_blocked(settings, start_worker, until, tmp_path):
    """Celery's thread hangs in code of the user, while the event loop turns."""
    (tmp_path / "blocking.py").write_text(BLOCKING)
    settings = with_ports(settings)
    port, client = settings.worker_health_port, Client(settings)
    start_worker(settings, PYTHONPATH=str(tmp_path))
    until(lambda: value(port, "consumer_up") == 1)
    client.enqueue("The message that blocks it")

    until(lambda: asked(port, "/livez")[0] == 503)
    status, body = asked(port, "/readyz")
    assert status == 503
    [reason] = json.loads(body)["reasons"]
    assert reason.startswith("deaf: ")
    assert value(port, "consumer_up") == 0
    until(lambda: [each.is_consuming for each in client.workers()] == [False])
    redis, keys = client.store._redis, client.store._keys
    until(lambda: [each.split()[0] for each in redis.hvals(keys.slots)] == ["0"])  # no job is dispatched for it


@pytest.mark.settings(deaf_limit_s=2)
def test_a_consumer_that_was_told_to_stop(settings, start_worker, until):
    settings = with_ports(settings)
    port, control = settings.worker_health_port, make_app(settings).control
    start_worker(settings)
    until(lambda: value(port, "consumer_up") == 1)
    control.cancel_consumer(settings.queue)
    until(lambda: asked(port, "/livez")[0] == 503)
    control.add_consumer(settings.queue)
    until(lambda: asked(port, "/livez")[0] == 200)


@pytest.mark.settings(deaf_limit_s=1, idle_restart_s=2)
def test_a_deaf_worker_ends(settings, start_worker, until):
    worker = start_worker(settings)
    until(lambda: Client(settings).workers()[0].is_consuming)
    make_app(settings).control.cancel_consumer(settings.queue)
    until(lambda: "worker gives up" in worker.log())
    assert "Celery's consumer has taken no messages" in worker.log()
