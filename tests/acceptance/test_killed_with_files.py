"""Workers are killed while they upload, search and download: each job has its answer, and leftovers are counted."""

import time
from pathlib import Path

import pytest
from tests.acceptance.site import until

from threadmill import JobState

FILES = Path(__file__).parents[2] / "examples" / "files"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.settings(concurrency=50, lease_s=4, sweep_interval_s=1, file_roots=(FILES,)),
]

JOBS, WORKERS, KILLS = 60, 2, 4


def test_files_of_killed_workers_are_deleted_or_counted(site, dice, tell, tmp_path):
    fleet = [site.start_worker(THREADMILL_ARTIFACTS=str(tmp_path / "artifacts")) for _ in range(WORKERS)]
    handbook = [str(FILES / "travel-handbook.md")]
    jobs = site.enqueue(["[[scenario=citations run_s=2]]How much is a meal?"] * (JOBS // 2), files=handbook)
    jobs |= site.enqueue(["[[scenario=plot run_s=2]]Plot a sine wave"] * (JOBS // 4))
    jobs |= site.enqueue(["[[scenario=citations]]When?"] * (JOBS // 4), files=handbook, batch="one")
    for _ in range(KILLS):
        victim = fleet.pop(0)
        until(lambda worker=victim: site.held_by(worker) or not site.count(JobState.QUEUED), "it has jobs")
        time.sleep(dice.uniform(0.1, 1.5))
        victim.kill()
        fleet.append(site.start_worker(THREADMILL_ARTIFACTS=str(tmp_path / "artifacts")))
    records = site.await_results(jobs, patience_s=90)

    assert [record.state for record in records] == [JobState.SUCCEEDED] * JOBS
    for record in records:
        asked = record.job.prompt
        assert len(record.result.files) == (2 if "plot" in asked else 0)
        assert all(Path(each.uri).stat().st_size == each.size for each in record.result.files)
    lost_threads = sum(record.result.lost_threads for record in records)
    lost_files = sum(record.result.lost_files for record in records)

    def left() -> tuple[int, int]:
        stats = site.stats()
        return stats["threads"]["alive"], stats["files"]["alive"] + stats["vector_stores"]["alive"]

    until(lambda: left()[0] <= lost_threads and left()[1] <= lost_files, "what is left is counted")
    cut_off = sum(record.attempts for record in records) - JOBS
    tell(
        f"{JOBS} jobs with files, {cut_off} attempts cut off by {KILLS} kills; "
        f"alive {left()[0]} threads of {lost_threads} counted, {left()[1]} files and stores of {lost_files} counted; "
        f"{site.stats()['files']['created']} files were on the server"
    )
