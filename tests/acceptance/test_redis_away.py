"""Redis is stopped and comes back, with its append-only file: that costs time, and nothing else."""

import json
import threading
import time

import pytest
from tests.acceptance.site import ALL_WIRES, THREADMILL, until

from threadmill import JobState, StoreUnavailable

pytestmark = pytest.mark.acceptance

AWAY_S = 5.0


@pytest.mark.settings(concurrency=120)
@ALL_WIRES
def test_a_minute_away_costs_a_minute_and_no_result(site, tell, tmp_path, wire):
    worker = site.start_worker()
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.txt").write_text(f"Document {number}")
    prompt, out = "[[scenario=echo run_s=4]]{{ text }}", str(tmp_path / "out.jsonl")
    batch = site.start(
        "batch", [THREADMILL, "batch", str(folder), "--prompt", prompt, "--out", out], **site.environment
    )
    until(lambda: site.runs()["created"] == 100, "all jobs are in flight")
    [awaited, *_] = site.store.zrange(site.keys.jobs(JobState.RUNNING), 0, 0)
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(site.client.wait(awaited, timeout_s=120)))
    waiter.start()

    site.stop_redis()
    with pytest.raises(StoreUnavailable):
        site.client.enqueue("Is anybody there?")
    time.sleep(AWAY_S)
    assert site.runs()["by_status"] == {"completed": 100}, "the runs ended while Redis was away"
    site.start_redis()
    back = time.monotonic()

    assert batch.exit_code(within_s=40) == 0, batch.log()
    tell(f"{wire}: 100 of 100 results {time.monotonic() - back:.1f} s after Redis was back")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {entry["name"]: entry["text"] for entry in written} == {
        f"{number}.txt": f"Document {number}" for number in range(100)
    }
    waiter.join(60)
    assert answers, "who waited for a job has its result"
    assert answers[0].ok
    assert (site.runs()["created"], site.runs()["by_status"]) == (100, {"completed": 100})
    assert site.alive() == 0

    fresh = site.client.enqueue("[[scenario=echo run_s=0]]And now?")
    assert fresh.wait(timeout_s=40).text == "And now?"
    tell(f"a job enqueued afterwards had its result {time.monotonic() - back:.1f} s after Redis was back")
    assert worker.lives, "the very same process"


@pytest.mark.settings(redis_outage_tolerance_s=3)
def test_a_worker_whose_redis_stays_away_ends_itself(site, tell):
    worker = site.start_worker()
    job = site.client.enqueue("[[run_s=60]]Well?")
    until(lambda: site.held_by(worker) == [job.id], "the job runs")
    site.stop_redis()
    stopped = time.monotonic()

    assert worker.exit_code() not in (0, None)
    tell(f"gave up {time.monotonic() - stopped:.1f} s after Redis was gone, with a patience of 3 s")
    assert "worker gives up" in worker.log()
