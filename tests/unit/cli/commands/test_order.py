"""In which order and when jobs start: the options of `submit` and `batch`, and what `jobs` shows."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from threadmill.job.prompt import PromptJob
from threadmill.job.result import JobState
from threadmill.job_facts import summarise
from threadmill.store.records.job import JobRecord
from threadmill_cli import app
from threadmill_cli.commands import submit
from threadmill_cli.commands.batch import run as batch
from threadmill_cli.commands.jobs.list import _row

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
ORDER = ["--priority", "high", "--tenant", "team-a", "--endpoint", "emulator"]


class Seen(Exception):
    pass


class Client:
    """Enqueues nothing."""

    def __init__(self, settings: Any) -> None:
        self.store = SimpleNamespace(now=lambda: NOW)

    def check(self, job: PromptJob) -> PromptJob:
        return job


@pytest.fixture
def submitted(monkeypatch):
    def see(_, job):
        raise Seen(job)

    def run(*options: str) -> PromptJob:
        monkeypatch.setattr(Client, "check", see)
        monkeypatch.setattr(submit, "Client", Client)
        done = CliRunner().invoke(app, ["submit", "Why?", *ORDER, *options])
        assert isinstance(done.exception, Seen), done.output
        return done.exception.args[0]

    return run


@pytest.fixture
def run_batch(monkeypatch, tmp_path):
    """Returns the fields and the options of a batch, and its name."""

    def see(client, name, template, fields, results, check, options):
        raise Seen(fields, options, name)

    def run(*options: str) -> Any:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.txt").write_text("A text.")
        monkeypatch.setattr(batch, "Client", Client)
        monkeypatch.setattr(batch, "Batch", see)
        done = CliRunner().invoke(app, ["batch", "a.txt", *ORDER, *options])
        assert isinstance(done.exception, Seen), done.output
        return done.exception.args

    return run


def test_submit_passes_order_and_start_to_the_job(submitted):
    job = submitted("--delay", "10m")
    assert (job.priority, job.tenant, job.delay_s, job.start_at) == ("high", "team-a", 600, None)
    assert submitted("--start-at", "2026-11-29T06:00+08:00").start_at == datetime(2026, 11, 28, 22, tzinfo=UTC)


def test_the_delay_of_a_batch_counts_from_its_command_for_all_documents(run_batch):
    fields, options, _ = run_batch("--delay", "2h", "--concurrent", "3")
    assert "delay_s" not in fields
    assert (fields["priority"], fields["tenant"], fields["start_at"]) == ("high", "team-a", NOW + timedelta(hours=2))
    assert options.concurrent == 3


def test_a_batch_keeps_its_name_whenever_its_jobs_start(run_batch):
    assert run_batch("--delay", "2h")[2] == run_batch("--priority", "low")[2] == run_batch("--tenant", "b")[2]


@pytest.mark.parametrize("command", ["submit", "batch"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--priority", "urgent"], "'urgent' is not one of 'high', 'normal', 'low'"),
        (["--delay", "soon"], "'soon' is not a time span; write 90m, 12h, 30d or 4w"),
        (["--start-at", "soon"], "'soon' is not a time; write 2026-11-29T06:00 (UTC)"),
        (["--delay", "1h", "--start-at", "2026-11-29T06:00"], "leave one of them out"),
        (["--tenant", "a/b"], "`tenant`: String should match"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(tmp_path, monkeypatch, command, options, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("A text.")
    arguments = [command, "a.txt", "--endpoint", "emulator", *options]
    refused = CliRunner().invoke(app, arguments, prog_name="threadmill", env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert says in refused.stderr


@pytest.mark.parametrize("limit", ["0", "-1", "some", "2.5", ""])
def test_a_limit_that_is_no_number_is_refused(limit):
    refused = CliRunner().invoke(app, ["batch", "limit", "notes", "--", limit], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert f"{limit!r} is no limit; give 1 or more, or none" in refused.stderr


def record(state: JobState = JobState.QUEUED, **fields: Any) -> JobRecord:
    return JobRecord(id="j", state=state, job=PromptJob(prompt="Why?", **fields), created_at=NOW)


@pytest.mark.parametrize("fields", [{"start_at": NOW + timedelta(hours=2)}, {"delay_s": 7200}])
def test_a_job_that_starts_later_says_when(fields):
    later = record(**fields)
    assert summarise(later, NOW)["starts_at"] == "2026-11-28T08:00:00+00:00"
    assert _row(later, NOW)[1] == "queued, starts in 2h"

    assert summarise(later, NOW + timedelta(hours=3))["starts_at"] is None
    assert summarise(record(JobState.CANCELLED, **fields), NOW)["starts_at"] is None
    assert _row(later, NOW + timedelta(hours=3))[1] == "queued"


def test_an_ordinary_job_says_nothing_about_its_order():
    names = ("priority", "tenant", "starts_at")
    assert [summarise(record(), NOW)[name] for name in names] == [None, None, None]
    urgent = summarise(record(priority="high", tenant="team-a"), NOW)
    assert (urgent["priority"], urgent["tenant"]) == ("high", "team-a")
