"""What a command that waits says about endpoints that give no usable replies."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from threadmill.store.worker_records import FailingEndpoint, Worker
from threadmill_cli.rendering.waiting import EndpointNotices

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
AWAY = FailingEndpoint(endpoint="davinci", reason="connection refused", since=NOW, until=NOW + timedelta(minutes=5))


def worker(*failing: FailingEndpoint) -> Worker:
    return Worker(name="w", seen_at=NOW, concurrency=1, jobs=1, endpoints=("davinci",), failing_endpoints=failing)


def test_an_error_and_its_end_are_noted_once_each(capsys):
    announced = []
    notices = EndpointNotices(SimpleNamespace(workers=lambda: announced), "davinci")
    for shown in ([worker()], [worker(AWAY)], [worker(AWAY), worker(AWAY)], [worker()], [worker()]):
        announced[:] = shown
        notices.poll()
    assert capsys.readouterr().err.splitlines() == [
        "davinci: connection refused (1 job, 1 failed call since 06:00:00 UTC); trying until 2026-11-28 06:05:00 UTC",
        "davinci replies again",
    ]


def test_errors_of_other_endpoints_are_not_noted(capsys):
    EndpointNotices(SimpleNamespace(workers=lambda: [worker(AWAY)]), "openai").poll()
    assert capsys.readouterr().err == ""
