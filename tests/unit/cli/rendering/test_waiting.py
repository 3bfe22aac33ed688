"""What a command that waits says about endpoints that hold jobs back or give no usable replies."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from threadmill.store.records.pool import PoolRecord
from threadmill.store.records.worker import FailingEndpoint, Worker
from threadmill_cli.rendering.waiting import EndpointNotices, show_waits

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
AWAY = FailingEndpoint(endpoint="davinci", reason="connection refused", since=NOW, until=NOW + timedelta(minutes=5))


def worker(*failing: FailingEndpoint) -> Worker:
    return Worker(name="w", seen_at=NOW, concurrency=1, jobs=1, endpoints=("davinci",), failing_endpoints=failing)


def notices(workers=(), pools=(), endpoint=None):
    """Reads the lists at each poll."""
    client = SimpleNamespace(workers=lambda: list(workers), awaited_pools=lambda endpoint: list(pools))
    return EndpointNotices(client, endpoint)


def test_an_error_and_its_end_are_noted_once_each(capsys):
    announced = []
    polled = notices(workers=announced, endpoint="davinci")
    for shown in ([worker()], [worker(AWAY)], [worker(AWAY), worker(AWAY)], [worker()], [worker()]):
        announced[:] = shown
        polled.poll()
    assert capsys.readouterr().err.splitlines() == [
        "davinci: connection refused (1 job, 1 failed call since 06:00:00 UTC); trying until 2026-11-28 06:05:00 UTC",
        "davinci replies again",
    ]


def test_errors_of_other_endpoints_are_not_noted(capsys):
    notices(workers=[worker(AWAY)], endpoint="openai").poll()
    assert capsys.readouterr().err == ""


SHUT = PoolRecord.read(
    "davinci",
    NOW,
    {"shut_until": str(NOW.timestamp() + 12), "shut_reason": "429 Rate limit reached"},
    waiting=340,
    limited=340,
)
FULL = PoolRecord.read("openai/gpt-4o", NOW, {"set_requests_per_minute": "60"}, waiting=1, limited=1)


def test_a_shut_pool_and_its_opening_are_noted_once_each(capsys):
    pools = []
    polled = notices(pools=pools)
    for shown in ([], [SHUT], [SHUT], [], []):
        pools[:] = shown
        polled.poll()
    assert capsys.readouterr().err.splitlines() == [
        "davinci is shut for 12 s: 429 Rate limit reached (340 jobs waiting)",
        "davinci is open again",
    ]


def test_a_limit_that_is_reached_again_and_again_is_noted_once(capsys):
    pools = []
    polled = notices(pools=pools)
    for shown in ([FULL], [], [FULL], []):
        pools[:] = shown
        polled.poll()
    assert capsys.readouterr().err == "openai/gpt-4o is at its limit of 60 requests a minute (1 job waiting)\n"


def test_all_that_jobs_wait_for_is_one_line():
    assert show_waits([], []) == ""
    assert show_waits([AWAY], [SHUT, FULL]).split("; ") == [
        "davinci: connection refused (1 job, 1 failed call since 06:00:00 UTC)",
        "trying until 2026-11-28 06:05:00 UTC",
        "davinci is shut for 12 s: 429 Rate limit reached (340 jobs waiting)",
        "openai/gpt-4o is at its limit of 60 requests a minute (1 job waiting)",
    ]
