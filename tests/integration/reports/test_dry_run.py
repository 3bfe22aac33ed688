"""`threadmill report run --dry-run` and `due --dry-run` ask, deliver and write nothing."""

import json
import os
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

import threadmill_cli  # noqa: F401  # adds the commands to the app
from threadmill.client import Client
from threadmill.reports.definitions.files import load
from threadmill.reports.runner import ReportRunner
from threadmill.reports.store import ReportStore
from threadmill_cli.app import app

pytestmark = pytest.mark.integration

DAILY = """
title = "Operations of {{ date }}"
schedule = "0 6 * * *"
paths = ["notes/{{ date }}"]
[map]
prompt = "{{ date }}, summarise:\\n{{ text }}"
max_tokens = 300
[delivery]
folder = "www"
[delivery.webhook]
url = "https://hooks.example/services/s3cret"
[delivery.smtp]
host = "mail.example"
from = "reports@shop.example"
to = ["boss@shop.example"]
"""
MORNING = "2026-11-21T06:00+00:00"
DAY_BEFORE = 1763700000 + 365 * 86400  # 2026-11-21 04:40 UTC


@pytest.fixture
def folder(tmp_path, monkeypatch, settings, settings_as_environment):
    monkeypatch.chdir(tmp_path)
    for name, value in settings_as_environment(settings).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "daily.toml").write_text(DAILY)
    os.utime(tmp_path / "reports" / "daily.toml", (DAY_BEFORE, DAY_BEFORE))
    notes = tmp_path / "notes" / "2026-11-20"
    notes.mkdir(parents=True)
    for number in range(5):
        (notes / f"note-{number}.md").write_text(f"Note {number}: the belt was changed.\n")
    return tmp_path


@pytest.fixture
def written(folder, store, settings):
    """Returns what Redis and the folder contain."""

    def look():
        return sorted(store.scan_iter(f"{settings.key_prefix}*")), sorted(map(str, folder.rglob("*")))

    return look


def _day(day, hour=0):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def report(*arguments):
    return CliRunner().invoke(app, ["report", *arguments])


@pytest.mark.parametrize("command", [["run", "daily", "--date", "2026-11-20"], ["due", "--now", MORNING]])
def test_a_dry_run_shows_the_report_and_writes_nothing(folder, written, emulator, command):
    before = written()
    done = report(*command, "--dry-run")

    assert done.exit_code == 0, done.stderr
    assert "daily 2026-11-20: Operations of 2026-11-20" in done.stdout
    assert "--- notes/2026-11-20/note-0.md\n2026-11-20, summarise:\nNote 0: the belt was changed." in done.stdout
    assert done.stdout.count("--- notes") == 3
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
    assert (rows["documents"], rows["prompts"]) == ("5", "5")
    assert "of prompts" in rows["tokens"]
    assert rows["page"] == f"{folder}/www/daily/2026-11-20.html"
    assert (rows["webhook"], rows["smtp"]) == ("https://hooks.example", "boss@shop.example through mail.example:587")
    assert "s3cret" not in done.output
    assert "Nothing was asked, delivered or written (--dry-run)." in done.stderr
    assert written() == before
    assert emulator.stats()["runs"]["by_status"] == {}


def test_due_shows_each_due_night_with_counts_from_redis(folder, settings):
    (folder / "notes" / "2026-11-19").mkdir()
    (folder / "notes" / "2026-11-19" / "note.md").write_text("The belt squeals.\n")
    book = ReportStore(settings)
    definition = load(folder / "reports", "daily")
    first = json.loads(report("due", "--now", MORNING, "--dry-run", "--json").stdout)
    book.since("daily", definition.clock.next_fires(_day(20), 1)[0].at)
    second = json.loads(report("due", "--now", MORNING, "--dry-run", "--json").stdout)

    assert [each["night"] for each in first] == ["2026-11-20"]
    assert [each["night"] for each in second] == ["2026-11-19", "2026-11-20"]
    assert second[1]["documents"] == 5
    assert [each["night"] for each in second] == [
        str(night) for night in ReportRunner(Client(settings)).due(definition, _day(21, 6))
    ]


def test_no_deliver_lists_no_channels(folder):
    done = report("run", "daily", "--date", "2026-11-20", "--dry-run", "--no-deliver")
    assert "none: the files only" in done.stdout
    assert "hooks.example" not in done.stdout


def test_a_report_that_would_fail_exits_with_1(folder):
    empty = folder / "notes" / "2026-11-20"
    for file in list(empty.iterdir())[1:]:
        file.write_text("")
    unreadable = report("run", "daily", "--date", "2026-11-20", "--dry-run")
    missing = report("run", "daily", "--date", "2026-11-01", "--dry-run")

    assert (unreadable.exit_code, missing.exit_code) == (1, 1)
    assert "would fail: notes/2026-11-01: no such file or folder" in missing.stdout
    assert "would fail: 4 of 5 documents are unreadable, and publish_if_failed_at_most is 10%" in unreadable.stdout


def test_an_empty_night_is_shown_as_skipped(folder):
    file = folder / "reports" / "daily.toml"
    file.write_text(f'when_empty = "skip"\n{DAILY}')
    done = report("run", "daily", "--date", "2026-11-01", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "would be skipped: no documents in notes/2026-11-01" in done.stdout


def test_a_dry_run_says_that_nothing_is_due(folder):
    done = report("due", "--now", "2026-11-20T05:00Z", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "No report is due." in done.stderr
