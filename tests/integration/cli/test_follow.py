"""`threadmill jobs follow` and `submit --follow`, in processes of their own, with a real worker."""

import json
import os
import signal
import subprocess

import pytest
from tests import shared

from threadmill import Client, JobState
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration

emulator, base_url, settings, cli = shared.emulator, shared.base_url, shared.settings, shared.cli

TEXT = "All work and no play makes Jack a dull boy. " * 5
SLOWLY = f"[[scenario=echo deltas=30 run_s=3]]{TEXT}"


@pytest.fixture
def started(cli_command, settings, settings_as_environment, tmp_path):
    """The same, running on while the test looks at it."""

    def start(*arguments):
        environment = {**os.environ, **settings_as_environment(settings)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        return subprocess.Popen(cli_command(*arguments), env=environment, cwd=tmp_path, **pipes)

    return start


def test_submit_follow_prints_the_answer_as_it_is_written(started):
    command = started("submit", SLOWLY, "--follow")
    first = command.stdout.read(5)
    assert command.poll() is None, "the job still runs"
    rest, remarks = command.communicate(timeout=20)

    assert (first + rest).decode() == TEXT + "\n"
    assert command.returncode == 0
    assert remarks.decode().splitlines() == [
        "job is queued", "job is running", "run 1 is queued", "run 1 is completed", "job is succeeded",
    ]  # fmt: skip


def test_follow_tells_of_tools_and_ends_as_result_does(cli, started, settings, store, until):
    client = Client(settings)
    client.pause_endpoint("emulator")
    job_id = client.enqueue("[[scenario=tools]]Well?").id
    command = started("jobs", "follow", job_id)
    until(lambda: store.exists(Keys(settings.key_prefix).followed(job_id)))
    client.resume_endpoint("emulator")
    answer, remarks = (pipe.decode() for pipe in command.communicate(timeout=60))

    assert command.returncode == 0
    assert answer == cli("jobs", "result", job_id).stdout
    assert "tool SEARCH called: {" in remarks
    assert "tool SEARCH returned: Emulated search results" in remarks


def test_follow_of_a_job_that_fails_says_why(cli):
    job_id = cli("submit", "[[scenario=invalid_prompt]]Well?", "--stream").stdout.strip()
    followed = cli("jobs", "follow", job_id)

    assert followed.returncode == 1
    assert followed.stdout == ""
    assert f"job {job_id} failed: invalid_prompt: " in followed.stderr


def test_json_gives_a_line_per_event(cli):
    job_id = cli("submit", f"[[scenario=echo]]{TEXT}").stdout.strip()
    followed = cli("jobs", "follow", job_id, "--json")
    events = [json.loads(line) for line in followed.stdout.splitlines()]

    assert (followed.returncode, followed.stderr) == (0, "")
    assert [event["kind"] for event in events if event["kind"] != "run"] == [
        "state",
        "state",
        "text",
        "message",
        "state",
    ]
    assert {event["state"] for event in events if event["kind"] == "state"} == {"queued", "running", "succeeded"}
    assert all(event["at"] for event in events)


def test_ctrl_c_leaves_the_job_alone_and_says_so(started, settings):
    job = Client(settings).enqueue({"prompt": f"[[scenario=echo deltas=300 run_s=60]]{TEXT}", "stream": True})
    command = started("jobs", "follow", job.id)
    command.stdout.read(5)
    command.send_signal(signal.SIGINT)
    _, remarks = command.communicate(timeout=20)

    assert command.returncode == 130
    assert f"job {job.id} continues; to watch it: threadmill jobs follow {job.id}" in remarks.decode()
    assert job.get().state is JobState.RUNNING
    job.cancel()
    assert job.wait(20).state is JobState.CANCELLED


def test_an_unknown_job_is_named(cli):
    followed = cli("jobs", "follow", "no-such-job")

    assert followed.returncode == 2
    assert "no-such-job" in followed.stderr
