"""`threadmill submit`: reading its prompt, and Ctrl-C while it waits."""

import pytest
from typer.testing import CliRunner

from threadmill.client import Client, JobHandle
from threadmill.job.result import JobState
from threadmill_cli import app


@pytest.fixture
def enqueued(tmp_path, monkeypatch):
    """The jobs that were enqueued; nobody runs them, and whoever waits for one is interrupted."""
    monkeypatch.chdir(tmp_path)
    jobs = []

    def enqueue(self, job):
        jobs.append(job)
        return JobHandle("j1", JobState.QUEUED, True, self)

    def interrupt(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "enqueue", enqueue)
    monkeypatch.setattr(Client, "wait", interrupt)
    monkeypatch.setattr(Client, "follow", interrupt)
    return jobs


def submit(*options, stdin=b""):
    return CliRunner().invoke(app, ["submit", *options, "--endpoint", "emulator"], input=stdin)


def test_a_prompt_from_stdin_loses_its_byte_order_mark(enqueued):
    assert submit("-", stdin="\ufeffWarum ist der Himmel blau?".encode()).stdout == "j1\n"
    assert enqueued[0].prompt == "Warum ist der Himmel blau?"


@pytest.mark.parametrize(
    ("options", "stdin", "says"),
    [
        (["-"], b"\xff\xfe\x00", "stdin is not UTF-8 text"),
        (["-"], b" \n", "stdin is empty"),
        ([""], b"", "PROMPT is empty"),
        (["--job", "-"], b"", "stdin: not valid JSON"),
        (["--job", "-"], b"\xff", "stdin: not UTF-8 text"),
        (["-", "--job", "-"], b"{}", "not both"),
    ],
)
def test_input_that_cannot_be_a_prompt_is_refused(enqueued, options, stdin, says):
    done = submit(*options, stdin=stdin)
    assert done.exit_code == 2
    assert says in done.stderr
    assert not enqueued


@pytest.mark.parametrize("option", ["--wait", "--follow"])
def test_ctrl_c_says_that_the_job_continues(enqueued, option):
    done = submit("Why?", option)
    assert done.exit_code == 130
    assert done.stderr.endswith(
        "job j1 continues; to watch it: threadmill jobs follow j1; to stop it: threadmill jobs cancel j1\n"
    )
