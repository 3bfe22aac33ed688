"""Why a worker is not alive, or not ready."""

import json
from dataclasses import replace

import pytest

from threadmill_worker.monitoring.health import Facts, body, why_not_alive, why_not_ready

HEALTHY = Facts("w", 0.5, 0.5, True, 0.0, ("emulator",))


def test_a_healthy_worker_is_alive_and_ready():
    assert why_not_alive(HEALTHY, 15) == why_not_ready(HEALTHY, 15) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"loop_silent_s": 20.0}, "event loop has been blocked for 20 s"),
        ({"is_consuming": False, "consumer_silent_s": 17.0}, "no messages for 17 s"),
    ],
)
def test_what_only_a_new_process_helps(change, reason):
    facts = replace(HEALTHY, **change)
    [alive] = why_not_alive(facts, 15)
    assert reason in alive
    assert why_not_ready(facts, 15) == [alive]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"redis_silent_s": 20.0}, "Redis has been unavailable for 20 s"),
        ({"endpoints": ()}, "api_key_env"),
        ({"is_stopping": True}, "stopping"),
    ],
)
def test_what_passes(change, reason):
    facts = replace(HEALTHY, **change)
    assert why_not_alive(facts, 15) == []
    [why] = why_not_ready(facts, 15)
    assert reason in why


def test_an_unknown_consumer_counts_as_alive():
    assert why_not_alive(replace(HEALTHY, is_consuming=None), 15) == []


def test_the_body_tells_the_reasons():
    assert json.loads(body("w", ["why"])) == {"status": "failing", "worker": "w", "reasons": ["why"]}
    assert json.loads(body("w", []))["status"] == "ok"
