"""What a command that waits says about servers that cannot be reached."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from threadmill.cli.waiting import Outages
from threadmill.record import Outage, Worker

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
AWAY = Outage(endpoint="davinci", reason="connection refused", since=NOW, until=NOW + timedelta(minutes=5))


def worker(*unreachable: Outage) -> Worker:
    return Worker(name="w", seen_at=NOW, concurrency=1, jobs=1, endpoints=("davinci",), unreachable=unreachable)


def test_an_outage_and_its_end_are_noted_once_each(capsys):
    announced = []
    outages = Outages(SimpleNamespace(workers=lambda: announced), "davinci")
    for shown in ([worker()], [worker(AWAY)], [worker(AWAY), worker(AWAY)], [worker()], [worker()]):
        announced[:] = shown
        outages.look()
    assert capsys.readouterr().err.splitlines() == [
        "cannot reach davinci (connection refused); trying until 2026-11-28 06:05:00 UTC",
        "davinci can be reached again",
    ]


def test_outages_of_other_endpoints_are_not_noted(capsys):
    Outages(SimpleNamespace(workers=lambda: [worker(AWAY)]), "openai").look()
    assert capsys.readouterr().err == ""
