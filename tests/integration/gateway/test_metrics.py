"""`/metrics` of the gateway."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from threadmill.metrics.definitions import FLEET

pytestmark = pytest.mark.integration


def samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_every_metric_of_the_fleet(http, client):
    client.enqueue_many([{"prompt": "?", "batch": "b"}, {"prompt": "?", "priority": "high"}])
    client.pause_endpoint("emulator")
    reply = await http.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    seen = samples(reply.text)
    assert {name for name, *_ in seen} == FLEET.keys()
    assert seen["threadmill_redis_up",] == 1
    assert seen["threadmill_jobs_created_total",] == 2
    assert seen["threadmill_queue_jobs", "high"] == seen["threadmill_queue_jobs", "normal"] == 1
    assert seen["threadmill_endpoint_paused", "emulator"] == 1
    assert seen["threadmill_batches_open",] == 1


async def test_it_needs_an_operator(caller):
    reader, operator = caller("reader"), caller("prometheus", scopes=["operate"])
    assert (await reader.get("/metrics")).status_code == 403
    assert (await operator.get("/metrics")).status_code == 200
    async with type(operator)(base_url=operator.base_url) as nobody:
        assert (await nobody.get("/metrics")).status_code == 401
