"""`threadmill health`: what it makes of replies and announcements."""

from datetime import UTC, datetime

import pytest

from threadmill.store.records.worker import Worker
from threadmill_cli.commands.operate.health import _reasons, why_not


def worker(**fields):
    known = {"seen_at": datetime.now(UTC), "concurrency": 1, "jobs": 0, "endpoints": ("e",), "is_consuming": True}
    return Worker(name="host:1:a", **(known | fields))


@pytest.mark.parametrize("live", [True, False])
def test_one_good_worker_is_enough(live):
    assert why_not([worker(is_consuming=False), worker()], live=live) == []
    assert why_not([worker(is_consuming=None)], live=live) == [], "it has just been started"


def test_no_worker():
    [reason] = why_not([], live=True)
    assert "no worker of this machine" in reason


def test_a_deaf_worker():
    [reason] = why_not([worker(is_consuming=False)], live=True)
    assert "deaf" in reason


def test_a_worker_without_a_key_is_alive_and_not_ready():
    assert why_not([worker(endpoints=())], live=True) == []
    [reason] = why_not([worker(endpoints=())], live=False)
    assert "api_key_env" in reason


def test_the_reasons_of_a_supervisor():
    said = {"status": "failing", "processes": {"1": {"reasons": ["deaf"]}, "2": {"reasons": ["blocked"]}}}
    assert _reasons(said) == ["process 1: deaf", "process 2: blocked"]
    assert _reasons({"status": "failing", "reasons": ["why"]}) == ["why"]
