"""The pages of several processes become one."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from threadmill.settings.prices import Prices
from threadmill_worker.monitoring.processes import merged, probed
from threadmill_worker.monitoring.prometheus import PrometheusMetrics
from threadmill_worker.monitoring.server import Reply

OK = Reply(json.dumps({"status": "ok", "worker": "w", "reasons": []}).encode())
FAILING = Reply(json.dumps({"status": "failing", "worker": "w", "reasons": ["deaf"]}).encode(), status=503)


@pytest.mark.parametrize(
    ("replies", "status"), [([OK, OK], 200), ([OK, FAILING], 200), ([OK, None], 200), ([FAILING, None], 503)]
)
def test_a_probe_fails_if_it_fails_for_all(replies, status):
    reply = probed(replies)
    assert reply.status == status
    assert json.loads(reply.body)["processes"].keys() == {"1", "2"}


def test_metrics_have_the_number_of_their_process():
    processes = [PrometheusMetrics(Prices()) for _ in range(2)]
    for count, metrics in enumerate(processes, 1):
        for _ in range(count):
            metrics.job_claimed()
            metrics.called("emulator", "2xx", 0.2)
    page = merged([Reply(each.page()) for each in processes]).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}

    claims = {sample.labels["process"]: sample.value for sample in families["threadmill_claims"].samples}
    assert claims == {"1": 1, "2": 2}
    calls = families["threadmill_http_request_duration_seconds"]
    assert {s.labels["process"]: s.value for s in calls.samples if s.name.endswith("_count")} == {"1": 1, "2": 2}
    assert page.count("# TYPE threadmill_claims_total counter") == 1


def test_a_process_without_a_reply_is_left_out():
    metrics = PrometheusMetrics(Prices())
    page = merged([None, Reply(metrics.page()), Reply(b"no", status=404)]).decode()
    assert 'process="2"' in page
    assert 'process="1"' not in page
