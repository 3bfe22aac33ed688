"""The search for jobs: what its address says, and the command that finds the same."""

from datetime import datetime

import pytest

from threadmill import FailureKind, JobState
from threadmill_gateway.dashboard.jobs.search import InvalidSearch, Search


def test_an_empty_search_chooses_all():
    search = Search.of({"state": "", "batch": "  ", "cursor": "abc", "unknown": "1"})
    assert (search.chosen(), search.given, search.command) == ({}, {}, "threadmill jobs")


def test_a_search_becomes_arguments_of_the_client():
    query = {"state": "failed", "failure": "stuck", "endpoint": "davinci", "batch": "night", "tenant": "t"}
    chosen = Search.of(query | {"metadata": "order=7  shop=a=b", "since": "2026-11-29T06:00"}).chosen()
    since = chosen.pop("since")
    assert chosen == {
        "state": JobState.FAILED,
        "failure": FailureKind.STUCK,
        "endpoint": "davinci",
        "batch": "night",
        "tenant": "t",
        "metadata": {"order": "7", "shop": "a=b"},
    }
    assert since == datetime(2026, 11, 29, 6).astimezone()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "odd"),
        ("failure", "odd"),
        ("batch", "a/b"),
        ("metadata", "order"),
        ("metadata", "=7"),
        ("since", "monday"),
        ("until", "2026-13-01T00:00"),
        ("until", "0001-01-01T00:00"),
    ],
)
def test_a_field_without_a_valid_value_is_named(field, value):
    with pytest.raises(InvalidSearch, match=value.partition("/")[0].split("T")[0]):
        Search.of({field: value}).chosen()


def test_a_long_field_is_cut():
    assert len(Search.of({"endpoint": "x" * 10_000}).endpoint) == 500


def test_the_command_quotes_what_a_shell_would_read():
    search = Search.of({"batch": "b", "metadata": "a=$(x) b=c", "since": "2026-11-29T06:00", "state": "queued"})
    assert search.command == (
        "threadmill jobs --state queued --batch b --metadata 'a=$(x)' --metadata b=c --since 2026-11-29T06:00"
    )
