"""The commands on single jobs, each in a process of its own, with a real worker on the other side."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from tests import shared

import threadmill
from threadmill import Client, JobState
from threadmill.store.keys import Keys
from threadmill.store.records.worker import Worker

pytestmark = pytest.mark.integration

emulator, base_url, settings, cli = shared.emulator, shared.base_url, shared.settings, shared.cli


def said_in_one_line(done, *words: str) -> bool:
    return done.stderr.count("\n") == 1 and all(word in done.stderr for word in words)


def test_submit_prints_the_id_and_result_the_answer(cli):
    submitted = cli("submit", "Why is the sky blue?")
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.strip()
    assert str(uuid.UUID(job_id)) == job_id

    waited = cli("jobs", "wait", job_id, "--timeout-s", "20")
    assert waited.returncode == 0
    assert "Why is the sky blue?" in waited.stdout
    assert waited.stderr == ""
    assert cli("jobs", "result", job_id).stdout == waited.stdout

    status = json.loads(cli("jobs", "show", job_id, "--json").stdout)
    assert (status["id"], status["state"], status["endpoint"]) == (job_id, "succeeded", "emulator")
    assert status["job"] == {"prompt": "Why is the sky blue?", "endpoint": "emulator"}
    shown = cli("jobs", "show", job_id).stdout.splitlines()
    assert [line.split() for line in shown[:2]] == [["id", job_id], ["state", "succeeded"]]


def test_submit_takes_stdin_and_a_file_and_gives_json(cli, tmp_path):
    answered = cli("submit", "-", "--wait", "--json", stdin="From stdin?")
    result = json.loads(answered.stdout)
    assert (result["state"], "From stdin?" in result["text"]) == ("succeeded", True)

    (tmp_path / "job.json").write_text(json.dumps({"prompt": "From a file?", "metadata": {"order": "4711"}}))
    first = json.loads(cli("submit", "--job", "job.json", "--key", "k1", "--json").stdout)
    again = json.loads(cli("submit", "--job", "job.json", "--key", "k1", "--json").stdout)
    assert (first["is_new"], again["is_new"], again["job_id"]) == (True, False, first["job_id"])

    conflict = cli("submit", "Another?", "--key", "k1")
    assert conflict.returncode == 2
    assert said_in_one_line(conflict, "the key 'k1' belongs to job", "prompt: 'From a file?' there, 'Another?' here")


def test_a_failed_job_exits_with_1_and_its_reason(cli):
    failed = cli("submit", "[[scenario=invalid_prompt]] Well?", "--wait")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "failed: invalid_prompt: Invalid prompt: it was flagged." in failed.stderr

    cut = cli("submit", "[[scenario=incomplete]] Well?", "--wait")
    assert cut.returncode == 1
    assert cut.stdout, "the partial text"


def test_wait_is_over_in_time_with_124(cli, settings):
    stuck = Client(settings).enqueue("[[scenario=stuck]]\nWell?")
    over = cli("jobs", "wait", stuck.id, "--timeout-s", "0.3")
    assert (over.returncode, over.stdout) == (124, "")
    assert said_in_one_line(over, stuck.id, "has not finished after", "it continues, so wait again")
    assert cli("jobs", "result", stuck.id).returncode == 124

    cancelled = cli("jobs", "cancel", stuck.id)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"{stuck.id}  being cancelled\n")
    waited = cli("jobs", "wait", stuck.id, "--timeout-s", "20", "--json")
    assert (waited.returncode, json.loads(waited.stdout)["state"]) == (1, "cancelled")


def test_jobs_lists_and_filters(cli, settings):
    batch = f"b-{uuid.uuid4().hex[:6]}"
    handles = Client(settings).enqueue_many({"prompt": f"Question\n{n}?", "batch": batch} for n in range(3))
    for handle in handles:
        handle.wait(20)

    listed = json.loads(cli("jobs", "--batch", batch, "--json").stdout)
    assert {each["id"] for each in listed} == {handle.id for handle in handles}
    assert all((each["state"], each["batch"]) == ("succeeded", batch) for each in listed)
    lines = cli("jobs", "--batch", batch, "--limit", "2").stdout.splitlines()
    assert lines[0].split()[:5] == ["id", "state", "failure", "took", "tokens"]
    assert len(lines) == 3
    assert all("succeeded" in line and "Question" in line for line in lines[1:]), "one line per job"
    assert json.loads(cli("jobs", "--batch", batch, "--state", "failed", "--json").stdout) == []


def test_jobs_are_filtered_by_endpoint_failure_time_and_metadata(cli, settings):
    client, batch = Client(settings), f"b-{uuid.uuid4().hex[:6]}"
    good = client.enqueue({"prompt": "Well?", "batch": batch, "metadata": {"order": "4711"}})
    bad = client.enqueue({"prompt": "[[scenario=invalid_prompt]] Well?", "batch": batch, "metadata": {"order": "4712"}})
    for handle in (good, bad):
        handle.wait(20)

    def listed(*options):
        return [each["id"] for each in json.loads(cli("jobs", "--batch", batch, *options, "--json").stdout)]

    assert listed("--failure", "invalid_prompt") == [bad.id]
    assert listed("--metadata", "order=4711") == [good.id]
    assert sorted(listed("--since", "1h", "--endpoint", "emulator")) == sorted([good.id, bad.id])
    assert listed("--since", "2030-01-01") == []
    refused = cli("jobs", "--batch", f"{batch}x")
    assert refused.returncode == 2
    assert said_in_one_line(refused, f"did you mean '{batch}'?", "`threadmill batch list`")
    assert "order is not KEY=VALUE" in " ".join(cli("jobs", "--metadata", "order").stderr.replace("'", "").split())


def test_status_of_a_running_job_shows_where_its_worker_is(cli, settings, until):
    stuck = Client(settings).enqueue("[[scenario=stuck]]\nWell?")
    until(lambda: (place := stuck.get().progress_summary) and place.run and place.run.seen.status == "in_progress")
    shown = json.loads(cli("jobs", "show", stuck.id, "--json").stdout)
    assert shown["thread"].startswith("thread_")
    assert shown["run"].startswith("run_")
    assert (shown["state"], shown["run_status"], shown["reruns"]) == ("running", "in_progress", None)
    assert shown["deadline"] > shown["run_since"]
    lines = cli("jobs", "show", stuck.id).stdout.splitlines()
    assert f"run            {shown['run']}" in lines
    assert [entry["kind"] for entry in shown["timeline"]][:4] == ["queued", "claimed", "thread", "run created"]
    assert any(line.split()[1:3] == ["thread", shown["thread"]] for line in lines)
    cli("jobs", "cancel", stuck.id)


def test_a_batch_is_cancelled_once_that_is_confirmed_in_one_line(cli, settings, until):
    client, batch = Client(settings), f"b-{uuid.uuid4().hex[:6]}"
    handles = client.enqueue_many({"prompt": f"[[scenario=stuck]] {n}?", "batch": batch} for n in range(3))
    until(lambda: all(handle.get().state is JobState.RUNNING for handle in handles))

    refused = cli("batch", "cancel", batch)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said_in_one_line(refused, f"Cancel batch {batch} with 3 unfinished jobs?", "pass --yes")
    done = cli("batch", "cancel", batch, "--yes")
    assert (done.returncode, done.stdout) == (0, f"{batch}: 3 being cancelled\n")
    for handle in handles:
        assert handle.wait(20).state is JobState.CANCELLED
    again = cli("batch", "cancel", batch, "--yes")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", f"{batch} has no unfinished jobs\n")
    assert cli("batch", "redrive", batch).stderr == f"{batch} has no failed jobs\n"


def test_workers_lists_those_that_are_alive(cli, settings, store):
    Client(settings).enqueue("Well?").wait(20)
    gone = Worker(name="gone", seen_at=datetime.now(UTC) - timedelta(minutes=1), concurrency=1, jobs=0, endpoints=())
    store.hset(Keys(settings.key_prefix).workers, "gone", gone.model_dump_json())
    [worker] = json.loads(cli("workers", "--json").stdout)
    assert (worker["concurrency"], worker["endpoints"], worker["version"]) == (20, ["emulator"], threadmill.__version__)
    header, line = cli("workers").stdout.splitlines()
    assert header.split() == ["worker", "state", "jobs", "memory", "up", "seen", "version", "endpoints"]
    assert line.startswith(worker["name"])


def test_cancel_and_redrive_of_what_has_ended_leave_it_alone(cli, settings):
    handle = Client(settings).enqueue("Well?")
    handle.wait(20)
    for command in ("cancel", "redrive"):
        done = cli("jobs", command, handle.id)
        assert (done.returncode, done.stdout) == (1, f"{handle.id}  left alone: it is succeeded\n")
    assert handle.get().state is JobState.SUCCEEDED


def test_doctor_finds_all_well(cli):
    done = cli("doctor", "--json")
    findings = json.loads(done.stdout)

    assert done.returncode == 0, done.stdout
    checks = ["settings", "redis", "eviction", "persistence", "rights", "endpoint", "server", "workers", "round trip"]
    assert list(dict.fromkeys(finding["check"] for finding in findings)) == checks
    assert all(finding["ok"] for finding in findings)


def test_a_job_that_does_not_exist_is_told_in_one_line(cli):
    for command in ("show", "result", "wait", "cancel", "redrive"):
        done = cli("jobs", command, "no-such-job")
        assert (done.returncode, done.stdout) == (2, "")
        assert said_in_one_line(done, "there is no job no-such-job")
