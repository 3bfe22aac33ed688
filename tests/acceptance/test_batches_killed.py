"""A batch is continued after all its processes were killed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.site import THREADMILL, Child, Site, until

pytestmark = pytest.mark.acceptance

DOCUMENTS = 600
OUTAGE_S = 5
PROMPT = "[[run_s=0.3]]\nSummarise:\n{{ text }}"


def begin(site: Site, docs: Path, out: Path, *options: str) -> Child:
    """Starts the command."""
    command = (THREADMILL, "batch", str(docs), "--prompt", PROMPT, "--out", str(out), "--name", "night", *options)
    return site.start("batch", command, **site.environment)


def read_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


@pytest.mark.settings(lease_s=2, sweep_interval_s=0.5)
def test_all_is_killed_twice_and_each_document_has_one_answer_paid_once(site, tmp_path, tell):
    docs, out = tmp_path / "docs", tmp_path / "out" / "results.jsonl"
    docs.mkdir()
    for number in range(DOCUMENTS):
        (docs / f"{number}.txt").write_text(f"The text of document {number}.")
    worker = site.start_worker()
    for written in (DOCUMENTS // 6, DOCUMENTS // 2):
        batch = begin(site, docs, out)
        until(lambda at_least=written: out.exists() and out.read_bytes().count(b"\n") >= at_least, "some lines")
        batch.kill()
        worker.kill()
        site.kill_redis()
        site.start_redis()
        worker = site.start_worker()
    last = begin(site, docs, out)
    assert last.exit_code(120) == 0, last.log()

    lines = read_lines(out)
    assert len(lines) == DOCUMENTS
    assert {line["path"] for line in lines} == {str(path) for path in docs.iterdir()}
    assert {line["state"] for line in lines} == {"succeeded"}
    assert all(f"The text of document {Path(line['path']).stem}." in line["text"] for line in lines)
    assert site.runs()["created"] == DOCUMENTS, "every run that was in flight was adopted"
    lost = sum(line["lost_threads"] for line in lines)
    until(lambda: site.alive() <= lost, "only objects that results count as lost are left")
    runs, alive = site.runs()["created"], site.alive()
    tell(f"{DOCUMENTS} documents, all killed twice: {runs} runs, {alive} of {lost} lost threads alive")
    assert [path.name for path in out.parent.iterdir()] == ["results.jsonl"]


@pytest.mark.settings(endpoint={"max_reruns": 0})
def test_failures_are_counted_exactly_and_retried_where_that_helps(site, tmp_path):
    docs, out = tmp_path / "docs", tmp_path / "results.jsonl"
    docs.mkdir()
    for number in range(480):
        directive = "[[scenario=failed]]" if number >= 456 else ""
        (docs / f"{number:03}.txt").write_text(f"{directive} Document {number}.")
    for number in range(20):
        (docs / f"bad-{number}.txt").write_bytes(b"" if number % 2 else b"\x00\x01\x02")
    site.faults(unauthorised=1, only="runs.create", times=24)  # as with a key that is replaced later
    site.start_worker()

    first = begin(site, docs, out, "--json", "--max-endpoint-failures", "100")
    assert first.exit_code(120) == 1
    lines = read_lines(out)
    failed = [line for line in lines if line["state"] == "failed"]
    assert (len(lines), len(failed)) == (500, 68)
    assert all(line["failure"]["kind"] and line["failure"]["message"] for line in failed)
    assert sum(line["failure"]["kind"] == "rejected" for line in failed) == 20

    runs = site.runs()["created"] + 24
    for _ in range(2):
        again = begin(site, docs, out)
        assert again.exit_code(120) == 1
        assert site.runs()["created"] == runs, "the same command repeats only the jobs that the wrong key had stopped"
        assert [line["state"] for line in read_lines(out)].count("failed") == 44

    for number in range(10):
        (docs / f"bad-{number}.txt").write_text(f"Corrected {number}.")
    retried = begin(site, docs, out, "--retry-failed")
    assert retried.exit_code(120) == 1
    assert site.runs()["created"] == runs + 24 + 10
    states = [line["state"] for line in read_lines(out)]
    assert (len(states), states.count("failed")) == (500, 24 + 10)


def test_redis_goes_away_while_a_batch_is_enqueued_and_answered(site, tmp_path):
    docs, out = tmp_path / "docs", tmp_path / "results.jsonl"
    docs.mkdir()
    for number in range(200):
        (docs / f"{number}.txt").write_text(f"Document {number}.")
    site.start_worker()
    batch = begin(site, docs, out, "--max-in-flight", "20")
    until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 40, "some lines")
    site.kill_redis()
    time.sleep(OUTAGE_S)
    site.start_redis()
    assert batch.exit_code(120) == 0, batch.log()
    assert len(read_lines(out)) == 200
    assert site.runs()["created"] == 200
