"""Real processes that export their spans over HTTP, to a collector that works, refuses, or hangs."""

import asyncio
import json
import sys
import time
from contextlib import suppress

import httpx
import pytest
from tests.forking.forked import ForkedProcess
from tests.traced import Collector

from threadmill.queue import TASK, make_app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

#: The trace of a caller.
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def exporting_to(url):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100", "THREADMILL_LOG": "json"}


def lines(process):
    """The log of a process: lines of JSON."""
    return [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]


@pytest.fixture
def start_gateway(tmp_path, settings_as_environment):
    """Starts gateways, and returns them with their URLs."""
    started = []

    def start(settings, **variables):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "threadmill_gateway", "--port", str(port)]
        gateway = ForkedProcess(
            "gateway", command, tmp_path / "gateway.log", settings_as_environment(settings) | variables
        )
        started.append(gateway)
        gateway.wait_until(lambda: is_ready(url))
        return gateway, url

    yield start
    for gateway in started:
        gateway.kill()


def is_ready(url):
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz").is_success
    return False


def test_a_worker_continues_the_trace_of_a_celery_client_and_logs_its_ids(settings, client, start_worker, serve):
    collector = Collector()
    worker = start_worker(settings, **exporting_to(serve(collector)))
    job = {"prompt": "[[scenario=tools]]\nWell?"}
    with make_app(settings) as shop:
        task = shop.send_task(TASK, args=[job], headers={"traceparent": PARENT}, ignore_result=False)
        assert task.get(timeout=60)["state"] == "succeeded"
    worker.stop()

    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert collector.services == {"threadmill-worker"}
    [process] = collector.named("process ")
    assert process.parent_span_id.hex() == "00f067aa0ba902b7"
    of_job = [line for line in lines(worker) if line.get("job_id") == task.id]
    assert {line["event"] for line in of_job} >= {"job claimed", "run status", "job finished"}
    assert {line["trace_id"] for line in of_job} == {TRACE}
    [claimed] = [line for line in of_job if line["event"] == "job claimed"]
    assert claimed["span_id"] == process.span_id.hex()
    [started] = [line for line in lines(worker) if line["event"] == "worker started"]
    assert "trace_id" not in started


def test_headers_of_the_exporter_are_sent_and_are_secrets(settings, client, start_worker, serve):
    collector = Collector()
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret-of-ingest", "OTEL_SERVICE_NAME": "nights"}
    worker = start_worker(settings, **exporting_to(serve(collector)), **variables)
    answer = client.enqueue("[[scenario=echo]]s3cret-of-ingest").wait(60)
    worker.stop()

    assert answer.text == "[key]"
    assert collector.headers[0]["api-key"] == "s3cret-of-ingest"
    assert collector.services == {"nights"}


async def refuses(scope, receive, send):
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def hangs(scope, receive, send):
    await asyncio.sleep(3600)


@pytest.mark.parametrize("collector", [refuses, hangs])
def test_a_collector_that_does_not_take_spans_delays_neither_jobs_nor_the_end(
    settings, client, start_worker, serve, collector
):
    worker = start_worker(settings, **exporting_to(serve(collector)))
    jobs = client.enqueue_many(["[[scenario=echo]]Well?"] * 20)
    assert [job.wait(60).text for job in jobs] == ["Well?"] * 20
    asked_at = time.monotonic()
    worker.stop()

    assert worker._process.returncode == 0
    assert time.monotonic() - asked_at < 25, "an export may take 10 s, and the stop of the processor 30 s"
    assert "worker stopped" in worker.log()


def test_the_gateway_continues_the_trace_of_its_caller(settings, client, start_gateway, start_worker, serve, emulator):
    collector = Collector()
    variables = exporting_to(serve(collector))
    (gateway, url), worker = start_gateway(settings, **variables), start_worker(settings, **variables)
    body = {"prompt": "[[scenario=echo]]Well?"}
    made = httpx.post(f"{url}/v1/jobs", json=body, headers={"traceparent": PARENT}, timeout=60).raise_for_status()
    assert client.wait(made.json()["id"], 60).ok
    gateway.stop()
    worker.stop()

    of_trace = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    by_id = {span.span_id: span for span in of_trace}
    [process] = [span for span in of_trace if span.name.startswith("process ")]
    enqueued = by_id[process.parent_span_id]
    served = by_id[enqueued.parent_span_id]
    assert enqueued.name == f"enqueue {settings.queue}"
    assert served.name == "POST /v1/jobs"
    assert served.parent_span_id.hex() == "00f067aa0ba902b7"
    assert collector.services == {"threadmill-gateway", "threadmill-worker"}


async def test_a_job_in_a_process_of_its_own_is_traced_there(worker, store, serve, monkeypatch):
    collector = Collector()
    for name, value in exporting_to(serve(collector)).items():
        monkeypatch.setenv(name, value)
    job_id = worker.create("[[scenario=echo]]Well?")
    mapping = {"own_process": 1, "interruptions": 2, "traceparent": PARENT}
    store.hset(f"{worker.settings.key_prefix}:job:{job_id}", mapping=mapping)
    assert (await worker.see_through(job_id)).ok

    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    [process], [run] = collector.named("process "), collector.named("invoke_agent")
    assert process.parent_span_id.hex() == "00f067aa0ba902b7"
    assert run.parent_span_id == process.span_id
