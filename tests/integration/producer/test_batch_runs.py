"""Running a batch: resume, stop, pause, watch."""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from threadmill import Client, JobState, StoreUnavailable
from threadmill.batch.plan import BatchOptions, DocumentStatus
from threadmill.batch.progress import BatchProgress
from threadmill.batch.results import ResultsFile
from threadmill.batch.run import Batch
from threadmill.batch.spending import BatchLimits
from threadmill.documents.find import find
from threadmill.documents.source import DocumentSource
from threadmill.documents.template import PromptTemplate

pytestmark = pytest.mark.integration

PROMPT = "[[run_s=0.05]]\nSummarise:\n{{ text }}"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(f"The text of number {number}.")
    return folder


class Desk:
    """Runs batches in a folder."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.out = folder.parent / "results.jsonl"

    def batch(self, results: ResultsFile, fields: Mapping[str, Any] = {}, **options: Any) -> Batch:
        return Batch(
            self.client,
            "b",
            PromptTemplate(PROMPT),
            {"endpoint": "emulator", **fields},
            results,
            options=BatchOptions(**options),
        )

    def run(self, watch: Callable[[BatchProgress], None] = lambda progress: None, **options: Any) -> BatchProgress:
        documents = find([str(self.folder)])
        with ResultsFile(self.out, "b", force=options.get("restart", False)) as results:
            return self.batch(results, **options).run(documents, len(documents), watch)

    @property
    def lines(self) -> dict[str, dict[str, Any]]:
        entries = [json.loads(line) for line in self.out.read_text("utf-8").splitlines()]
        assert len({entry["name"] for entry in entries}) == len(entries), "one line per document"
        return {entry["name"]: entry for entry in entries}


@pytest.fixture
def desk(client: Client, docs: Path) -> Desk:
    return Desk(client, docs)


@pytest.fixture
def with_worker(start_worker, settings) -> None:
    start_worker(settings)


@pytest.mark.endpoint(wire="responses", model="emulator-1", assistant=None)
@pytest.mark.emulated(extras=frozenset({"ignores_tiers"}))
@pytest.mark.usefixtures("with_worker")
def test_a_batch_counts_full_price_answers_that_should_be_cheaper(desk):
    progress = desk.run(fields={"lane": "flex"})

    assert (progress.succeeded, progress.full_price.total(), len(progress.full_price)) == (8, 8, 1)
    assert {line["lane"] for line in desk.lines.values()} == {None}


@pytest.mark.usefixtures("with_worker")
def test_failures_are_kept_until_retry_failed(desk, docs, emulator):
    (docs / "bad.txt").write_text("[[scenario=content_filter]]")
    (docs / "empty.txt").touch()
    first = desk.run()
    assert (first.succeeded, first.failed, first.left) == (8, 2, 0)
    runs = emulator.stats()["runs"]["created"]

    second = desk.run()
    assert (second.kept, second.kept_failed, second.succeeded, second.failed) == (8, 1, 0, 1)
    assert emulator.stats()["runs"]["created"] == runs, "nothing was paid for again"
    assert desk.lines["bad.txt"]["failure"]["kind"]

    third = desk.run(retry_failed=True)
    assert (third.kept, third.kept_failed, third.failed) == (8, 0, 2)
    assert emulator.stats()["runs"]["created"] > runs
    assert len(desk.lines) == 10


def test_a_damaged_record_only_fails_its_document(desk, docs, client, store, settings, start_worker):
    def damage(progress):
        """Before a worker is there: once its jobs are enqueued."""
        queued = client.jobs(batch="b")
        if len(queued) == 8 and not started:
            [job] = [job.id for job in queued if "number 3" in job.job.prompt]
            store.hset(f"{settings.key_prefix}:job:{job}", "job", "{")
            started.append(start_worker(settings))

    started: list[Any] = []
    done = desk.run(damage)
    assert (done.succeeded, done.failed) == (7, 1)
    assert desk.lines["3.txt"]["failure"]["kind"] == "unreadable"

    again = desk.run(retry_failed=True)
    assert (again.kept, again.failed) == (7, 1), "it cannot be sent again, and is no reason to wait"


@pytest.mark.usefixtures("with_worker")
def test_the_result_of_a_redriven_job_replaces_the_failure(desk, docs, client, emulator):
    emulator.faults(unauthorised=1, only="runs.create", times=1)
    (docs / "0.txt").write_text("once")
    for each in docs.glob("[1-7].txt"):
        each.unlink()
    assert desk.run().failed == 1
    client.wait(desk.lines["0.txt"]["job_id"])
    client.redrive(desk.lines["0.txt"]["job_id"])
    again = desk.run()
    assert (again.succeeded, again.kept_failed) == (1, 0)
    assert desk.lines["0.txt"]["state"] == JobState.SUCCEEDED


@pytest.mark.usefixtures("with_worker")
def test_a_changed_document_is_asked_about_and_its_line_replaced(desk, docs, emulator):
    desk.run()
    before = desk.lines
    (docs / "3.txt").write_text("Another text.")
    with ResultsFile(desk.out, "b") as results:
        plan = desk.batch(results).plan(find([str(docs)]))
    assert plan == {DocumentStatus.ANSWERED: 7, DocumentStatus.CHANGED: 1}

    progress = desk.run()
    assert (progress.kept, progress.succeeded) == (7, 1)
    after = desk.lines
    assert "Another text." in after.pop("3.txt")["text"]
    before.pop("3.txt")
    assert after == before
    assert emulator.completed() == 9


@pytest.mark.usefixtures("with_worker")
def test_a_restart_uses_no_earlier_answers_and_can_be_resumed(desk, emulator):
    desk.run()
    first = {line["job_id"] for line in desk.lines.values()}
    assert desk.run(restart=True).succeeded == 8
    second = {line["job_id"] for line in desk.lines.values()}
    assert not first & second
    desk.out.unlink()
    assert desk.run().succeeded == 8
    assert {line["job_id"] for line in desk.lines.values()} == second, "a lost file is written again, for nothing"
    assert emulator.completed() == 16


@pytest.mark.settings(concurrency=2)
@pytest.mark.usefixtures("with_worker")
def test_a_limit_withdraws_jobs_that_no_worker_has_started(desk, emulator):
    progress = desk.run(limits=BatchLimits(max_tokens=1))
    assert progress.stopped is not None
    assert "tokens are spent" in progress.stopped
    assert 0 < progress.succeeded < 8
    assert (len(desk.lines), progress.left) == (progress.succeeded, 8 - progress.succeeded)
    assert emulator.completed() == progress.succeeded

    again = desk.run(limits=BatchLimits(max_tokens=1))
    assert (again.kept, again.succeeded) == (progress.succeeded, 0), "what earlier runs spent counts"

    rest = desk.run()
    assert (rest.kept + rest.succeeded, rest.left) == (8, 0)
    assert emulator.completed() == 8


@pytest.mark.settings(concurrency=2)
@pytest.mark.usefixtures("with_worker")
def test_endpoint_failures_in_a_row_stop_the_batch(desk, docs, emulator):
    for number in range(8, 200):
        (docs / f"{number}.txt").write_text(f"The text of number {number}.")
    emulator.faults(unauthorised=1)
    progress = desk.run()
    assert progress.stopped == "5 jobs in a row failed because of the endpoint"
    assert "unauthorised: 401" in progress.why_stopped
    assert 5 <= progress.failed < 100, "the rest was withdrawn"
    assert (progress.retryable, progress.permanent_failures) == (0, {"unauthorised"})
    assert progress.calls == progress.failed, "a job is not retried"
    assert progress.left == 200 - progress.failed

    emulator.faults(unauthorised=0)
    again = desk.run()
    assert (again.succeeded, again.failed, again.kept_failed, again.left) == (200, 0, 0, 0)
    assert emulator.completed() == 200


@pytest.mark.usefixtures("with_worker")
def test_the_number_of_unfinished_jobs_is_limited(desk, client, store, settings):
    seen: list[int] = []

    def watch(progress: BatchProgress) -> None:
        seen.append(client.batch("b").open)

    assert desk.run(watch, max_in_flight=3).succeeded == 8
    assert max(seen) <= 3
    job = client.get(next(iter(desk.lines.values()))["job_id"]).job
    assert job.prompt is not None
    assert "The text of number" in job.prompt


@pytest.mark.usefixtures("with_worker")
def test_a_batch_that_is_resumed_keeps_its_limit_of_running_jobs(desk, client):
    desk.run(concurrent=3)
    desk.run()
    assert client.batch("b").concurrent == 3
    desk.run(concurrent=4)
    assert client.batch("b").concurrent == 4


@pytest.mark.usefixtures("with_worker")
def test_an_outage_while_enqueuing_creates_no_second_jobs(desk, client, emulator, monkeypatch):
    enqueue, lost = client.enqueue_many, []

    def lose_the_reply_once(jobs: Any) -> Any:
        handles = enqueue(jobs)
        if not lost:
            lost.append(handles)
            raise StoreUnavailable("redis://here", ConnectionError("reset"))
        return handles

    monkeypatch.setattr(client, "enqueue_many", lose_the_reply_once)
    assert desk.run().succeeded == 8
    assert lost
    assert emulator.completed() == 8


@pytest.mark.usefixtures("with_worker")
def test_texts_of_answered_documents_do_not_stay_in_redis(desk, docs, client):
    (docs / "0.txt").write_text("long " * 5000)
    (docs / "1.txt").write_text("[[scenario=content_filter]]" + "long " * 5000)
    desk.run()
    answered, failed = (client.get(desk.lines[name]["job_id"]).job.prompt for name in ("0.txt", "1.txt"))
    assert len(answered) < 250
    assert len(failed) > 25_000, "it may be sent again"


@pytest.mark.usefixtures("with_worker")
def test_a_paused_batch_waits_until_it_is_resumed(desk, client, emulator, until):
    client.store.start_batch("b", 8, new_generation=False)
    client.pause("b")
    paused = threading.Event()
    tallies: list[BatchProgress] = []

    def watch(progress: BatchProgress) -> None:
        if progress.paused:
            paused.set()

    runner = threading.Thread(target=lambda: tallies.append(desk.run(watch)))
    runner.start()
    assert paused.wait(20)
    until(lambda: client.batch("b").jobs.get(JobState.QUEUED) == 8)
    assert client.enqueue({"prompt": "of no batch"}).wait(20).ok, "others are not held up"
    assert client.batch("b").jobs.get(JobState.QUEUED) == 8

    client.resume("b")
    runner.join(30)
    assert tallies[0].succeeded == 8
    assert emulator.completed() == 9


@pytest.mark.settings(concurrency=2)
@pytest.mark.usefixtures("with_worker")
def test_cancelling_a_batch_stops_its_command(desk, docs, client):
    for number in range(8, 60):
        (docs / f"{number}.txt").write_text("[[run_s=1]] more")
    cancelled = threading.Event()

    def watch(progress: BatchProgress) -> None:
        if progress.succeeded and not cancelled.is_set():
            cancelled.set()
            client.cancel_batch("b")

    progress = desk.run(watch, max_in_flight=5)
    assert progress.stopped == "it was cancelled"
    assert progress.left > 40
    assert client.batch("b").open == 0


@pytest.mark.usefixtures("with_worker")
def test_a_document_in_parts_has_one_line(desk, docs, tmp_path, client):
    for each in docs.iterdir():
        each.unlink()
    text = "\n\n".join(f"Paragraph {number} is about pump {number}." for number in range(12))
    (docs / "long.txt").write_text(text)
    documents, template = DocumentSource(max_chars=120, split=True).open([str(docs)], "[[run_s=0.05]] {{ text }}")
    for _ in range(2):
        with ResultsFile(desk.out, "b") as results:
            Batch(client, "b", template, {"endpoint": "emulator"}, results).run(documents, 1)
    line = desk.lines["long.txt"]
    assert line["state"] == "succeeded"
    assert len(line["parts"]) >= 4
    assert all(f"pump {number}." in line["text"] for number in range(12))
    assert line["usage"]["total_tokens"] == sum(part["usage"]["total_tokens"] for part in line["parts"])


@pytest.mark.usefixtures("with_worker")
def test_two_commands_share_a_results_file(docs, settings, cli_command, settings_as_environment, emulator, tmp_path):
    environment = settings_as_environment(settings)
    command = cli_command("batch", "docs", "--prompt", PROMPT.replace("0.05", "1"))
    started = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert sum("works on results.jsonl" in each for each in said) == 1
    assert sum("8 (8 earlier)" in each for each in said) == 1
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 8
    assert emulator.completed() == 8
    assert not (tmp_path / "results.jsonl.lock").exists()


@pytest.mark.usefixtures("with_worker")
def test_a_detached_batch_can_be_watched(docs, settings, run_cli, settings_as_environment, tmp_path):
    environment = settings_as_environment(settings)
    command = ("batch", "docs", "--prompt", PROMPT.replace("0.05", "2"), "--name", "night")
    left = run_cli(*command, "--detach", **environment)
    assert (left.returncode, left.stdout) == (0, "night\n"), left.stderr

    while (watched := run_cli("batch", "attach", "night", **environment)).returncode == 2:
        assert "night" in watched.stderr, watched.stderr  # it has not begun
    assert watched.returncode == 0, watched.stderr
    assert "8 succeeded" in watched.stdout
    done = run_cli(*command, **environment)  # waits for the other to have ended
    assert (done.returncode, len((tmp_path / "results.jsonl").read_text().splitlines())) == (0, 8)


def test_a_background_process_that_fails_at_once_is_reported(docs, run_cli, tmp_path):
    (tmp_path / "results.jsonl").write_text("my notes\n")
    failed = run_cli("batch", "docs", "--endpoint", "emulator", "--detach")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "has other content" in failed.stderr


def test_a_dry_run_needs_no_server(docs, run_cli, tmp_path):
    (docs / "empty.txt").touch()
    variables = {
        "THREADMILL_REDIS_URL": "redis://127.0.0.1:1/0",
        "THREADMILL_PRICES": json.dumps({"m": {"prompt": 1000, "completion": 2000}}),
        "THREADMILL_ENDPOINTS__EMULATOR__MODEL": "m",
    }
    shown = run_cli("batch", "docs", "--endpoint", "emulator", "--dry-run", **variables)
    assert shown.returncode == 0, shown.stderr
    assert "Summarise:\nThe text of number 0." in shown.stdout
    for line in ("documents    9", "unreadable   1", "prompts      8", "docs/empty.txt: is empty"):
        assert line in shown.stdout
    assert re.search(r"^cost +prompts: [\d.]+ USD$", shown.stdout, re.MULTILINE)
    assert not (tmp_path / "results.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max-cost", "5"], "a limit of the cost needs prices"),
        (["--limit", "1", "--sample", "1"], "--limit or --sample"),
        (["--detach", "--local"], "--local ends with its command"),
    ],
)
def test_options_that_exclude_each_other_are_reported(docs, run_cli, tmp_path, options, says):
    refused = run_cli("batch", "docs", "--endpoint", "emulator", *options)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert not (tmp_path / "results.jsonl").exists()
