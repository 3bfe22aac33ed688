"""A hundred jobs of every kind, half of them failing or cancelled at random points: nothing is left on the server."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from threadmill import JobState
from threadmill_emulator.runs.replies import PNG

pytestmark = [pytest.mark.integration, pytest.mark.settings(concurrency=100)]

JOBS = 100
GOOD = ("plot", "citations", "code_interpreter", "parallel_tools", "tools", "emulator")
BAD = ("failed", "invalid_prompt", "expired", "incomplete", "quota", "cancelled")


def fields_of(number: int, folder: Path) -> dict[str, Any]:
    """Every second job fails by its scenario or is cancelled by the test; every third brings files."""
    fails = number % 4 == 1
    run_s = 5 if number % 8 == 3 else 0.6  # one is sure to be there still when it is cancelled
    marker = f"[[scenario={(BAD if fails else GOOD)[number % 6]} run_s={run_s}]]"
    fields: dict[str, Any] = {"prompt": f"{marker}Question {number}"}
    if number % 3 == 0:
        fields["files"] = [str(folder / "a.txt"), {"path": str(folder / "b.csv"), "tools": ["code_interpreter"]}]
    if number % 5 == 0:
        fields["images"] = [str(folder / "c.png")]
    if number % 6 == 0:
        fields["batch"] = "mixed"
    return fields


@pytest.mark.endpoint(supports={"data_urls": False})
async def test_nothing_is_left_of_a_hundred_mixed_jobs(worker, emulator, settings, tmp_path):
    (tmp_path / "a.txt").write_text("All is well with the question.")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    (tmp_path / "c.png").write_bytes(PNG)
    object.__setattr__(settings, "file_roots", (tmp_path,))
    dice = random.Random(7)
    jobs = [worker.create(**fields_of(number, tmp_path)) for number in range(JOBS)]

    async def cancel(job_id: str) -> None:
        await asyncio.sleep(dice.uniform(0, 4))
        await asyncio.to_thread(worker.client.cancel, job_id)

    cancelled = [cancel(job_id) for number, job_id in enumerate(jobs) if number % 4 == 3]
    results, *_ = await asyncio.gather(asyncio.gather(*map(worker.see_through, jobs)), *cancelled)

    states = {state: sum(result.state is state for result in results) for state in JobState}
    assert states[JobState.SUCCEEDED] >= JOBS / 3, states
    assert states[JobState.CANCELLED] >= JOBS / 10, states
    assert all(result.lost_threads == result.lost_files == 0 for result in results)
    await worker.process.clean_up()
    stats = emulator.stats(ids="1")
    assert {kind: stats[kind]["alive"] for kind in ("threads", "files", "vector_stores")} == {
        "threads": 0,
        "files": 0,
        "vector_stores": 0,
    }
