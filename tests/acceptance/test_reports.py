"""Nightly reports of real schedulers and workers, some of which are killed."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from tests.acceptance.site import THREADMILL, until

pytestmark = pytest.mark.acceptance

DOCUMENTS = 60
REDUCTIONS = 3 + 1  # 60 answers, 20 at a time

DEFINITION = """
title = "Operations of {{ date }}"
schedule = "%M %H * * *"
paths = ["notes/{{ date }}"]
[map]
prompt = "[[run_s=0.5]]\\nSummarise:\\n{{ text }}"
[reduce]
prompt = "[[run_s=0.5]]\\nReport:\\n{{ text }}"
"""


@pytest.fixture
def nights(tmp_path, monkeypatch):
    """A definition that fired an hour ago, and once while nothing ran; the nights that are due, the oldest first."""
    monkeypatch.chdir(tmp_path)
    now = datetime.now(UTC)
    fired = now - timedelta(hours=1)
    file = tmp_path / "reports" / "operations.toml"
    file.parent.mkdir()
    file.write_text(fired.strftime(DEFINITION))
    written_at = (now - timedelta(hours=26)).timestamp()
    os.utime(file, (written_at, written_at))
    due = [str(fired.date() - timedelta(days=days)) for days in (2, 1)]
    for night in due:
        folder = tmp_path / "notes" / night
        folder.mkdir(parents=True)
        for number in range(DOCUMENTS):
            (folder / f"{number:02}.md").write_text(f"Note {number} of {night}.")
    return due


@pytest.mark.settings(lease_s=5)
def test_two_schedulers_make_one_report_per_night_the_missed_one_too(site, nights, tmp_path, tell):
    worker = site.start_worker()

    def schedule():
        command = [THREADMILL, "report", "schedule", "--every-s", "1"]
        return site.start("scheduler", command, **site.environment)

    def states():
        entries = site.store.hgetall(f"{site.settings.key_prefix}:reports:operations")
        return {night: json.loads(entry)["state"] for night, entry in entries.items()}

    def map_lines():
        for each in schedulers:
            each.check()
        folder = tmp_path / "reports" / ".state" / "operations"
        return sum(file.read_text("utf-8").count("\n") for file in folder.glob("*/map.jsonl"))

    def holder(night):
        return site.store.get(f"{site.settings.key_prefix}:reports:operations:{night}:held") or ""

    schedulers = [schedule(), schedule()]
    until(lambda: map_lines() > 10, "the first night has begun")
    killed = next(each for each in schedulers if any(f":{each.pid}:" in holder(night) for night in nights))
    killed.kill()  # while it holds the lease; the other scheduler continues
    worker.kill()
    schedulers = [each for each in schedulers if each is not killed] + [schedule()]
    site.start_worker()
    until(lambda: states() == dict.fromkeys(nights, "published"), "both nights are published", 120)

    assert sorted(file.stem for file in (tmp_path / "reports" / "published").rglob("*.html")) == nights
    completed = site.completed_runs()
    tell(f"{len(completed)} jobs, {sum(completed.values())} runs for 2 nights of {DOCUMENTS} documents")
    assert len(completed) == 2 * (DOCUMENTS + REDUCTIONS), "no document of a night became two jobs"
    assert set(completed.values()) == {1}, "none ran twice"
    for each in schedulers:
        each.signal(signal.SIGTERM)
        assert each.exit_code() == 0
