"""Hostile jobs among two hundred: each fails and says why, and takes no other job and no worker for good."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.acceptance.site import Child, Site, until
from tests.bomb import BOMB

from threadmill import Client, FailureKind, JobState
from threadmill_emulator.testing import serving

pytestmark = pytest.mark.acceptance

WORKERS = 3
INNOCENTS = 195

TOOLS = """
import os, time

def exits() -> str:
    os._exit(0)

async def blocks() -> str:
    time.sleep(3600)
"""

#: Python's own engine takes for ever to see that a long row of "a" and a "!" does not match.
PATTERN = {
    "type": "json_schema",
    "json_schema": {"name": "row", "schema": {"type": "string", "pattern": "^(a+)+$"}},
}


async def bomb(scope, receive, send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BOMB})


@pytest.fixture
def hostile_site(tmp_path):
    (tmp_path / "hostile_tools.py").write_text(TOOLS)
    with serving(bomb, waits=False) as url:
        hasty = {"lease_s": 4, "sweep_interval_s": 1, "blocked_limit_s": 6}
        tools = {name: {"function": f"hostile_tools:{name}"} for name in ("exits", "blocks")}
        site = Site(tmp_path, {"tools": tools, **hasty})
        emulator = site.settings.endpoints["emulator"]
        huge = emulator.model_copy(update={"base_url": url})
        site.settings = site.settings.model_copy(update={"endpoints": {"emulator": emulator, "huge": huge}})
        site.client = Client(site.settings)
        yield site
        site.close()


class Supervisor:
    """Restarts a worker that has ended, as systemd or Kubernetes do."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.fleet: list[Child] = [self._begin() for _ in range(WORKERS)]
        self.ended = 0

    def look(self) -> None:
        for index, worker in enumerate(self.fleet):
            if not worker.lives:
                self.ended += 1
                self.fleet[index] = self._begin()

    def _begin(self) -> Child:
        return self._site.begin_worker(PYTHONPATH=self._path)


def test_five_hostile_jobs_among_two_hundred(hostile_site, tmp_path, tell):
    site, began = hostile_site, time.monotonic()
    innocents = site.enqueue(f"[[scenario=echo run_s=1]]\nQuestion {n}" for n in range(INNOCENTS))
    asked = {
        "exits": {"prompt": "[[scenario=tools run_s=0.1]]Well?", "tools": ["exits"]},
        "blocks": {"prompt": "[[scenario=tools run_s=0.1]]Well?", "tools": ["blocks"]},
        "regex": {"prompt": f'[[scenario=echo run_s=0.1]]\n"{"a" * 60}!"', "response_format": PATTERN},
        "huge": {"prompt": "Well?", "endpoint": "huge"},
        "unreadable": "Well?",
    }
    hostile = {name: site.client.enqueue(job).id for name, job in asked.items()}
    site.store.hset(site.keys.record(hostile["unreadable"]), "job", "zlib:no longer a job")

    supervisor = Supervisor(site, tmp_path)

    def ended() -> bool:
        supervisor.look()
        return not site.count(JobState.QUEUED) and not site.count(JobState.RUNNING)

    until(ended, "all jobs have ended", patience_s=240)
    took_s = time.monotonic() - began
    answers = [record.result.text for record in site.records(innocents)]
    assert answers == [f"Question {n}" for n in range(INNOCENTS)]
    failures = {name: site.client.wait(job_id, 0).failure for name, job_id in hostile.items()}
    assert {name: failure.kind for name, failure in failures.items()} == {
        "exits": FailureKind.ATTEMPTS_EXHAUSTED,
        "blocks": FailureKind.ATTEMPTS_EXHAUSTED,
        "regex": FailureKind.INVALID_ANSWER,
        "huge": FailureKind.SERVER_ERROR,
        "unreadable": FailureKind.UNREADABLE,
    }
    tell(f"200 jobs ended after {took_s:.0f} s; {supervisor.ended} workers ended and were restarted")
    for name, failure in failures.items():
        tell(f"{name}: {failure.kind}: {failure.message}")

    def all_work() -> bool:
        supervisor.look()
        holders = Counter(site.held_by(worker) != [] for worker in supervisor.fleet)
        return holders[True] == WORKERS

    more = site.enqueue(f"[[scenario=echo run_s=8]]\nMore {n}" for n in range(250))
    until(all_work, "no worker is deaf: each holds some of the next jobs")
    records = site.await_results(more, patience_s=120)
    assert {record.state for record in records} == {JobState.SUCCEEDED}
