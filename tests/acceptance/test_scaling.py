"""deploy/keda/redis.yaml: what it counts, with the rights that docs/deploy.md gives it; and what a scale-in does."""

import math
import re
import shlex
import signal
from pathlib import Path

import pytest
import redis
import yaml
from tests.acceptance.site import RESPONSES, until

from threadmill import JobState

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.settings(concurrency=10, endpoint={**RESPONSES, "batch_lane_wait_s": 3600}),
]

ROOT = Path(__file__).parents[2]
SPEC = next(yaml.safe_load_all((ROOT / "deploy" / "keda" / "redis.yaml").read_text()))["spec"]

#: How KEDA counts: the size of a sorted set, and 0 for a key that does not exist.
SIZE = "return redis.call(redis.call('type', KEYS[1]).ok == 'zset' and 'zcard' or 'llen', KEYS[1])"


@pytest.fixture
def keda(site):
    """A connection with the rights that the documentation gives to KEDA."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    [rules] = re.findall(r"`(\+ping [^`]*)`", page)
    site.store.execute_command("ACL", "SETUSER", "keda", "on", ">password", *shlex.split(rules))
    url = site.redis_url.replace("//", "//keda:password@")
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        yield connection


def demand(keda, site):
    """The value of the formula."""
    sizes = {
        trigger["name"]: int(
            keda.eval(SIZE, 1, trigger["metadata"]["listName"].replace("threadmill", site.keys.prefix, 1))
        )
        for trigger in SPEC["triggers"]
    }
    return eval(SPEC["advanced"]["scalingModifiers"]["formula"], {"max": max}, sizes)


def test_workers_follow_the_jobs_and_a_scale_in_loses_none(site, keda, tell):
    assert demand(keda, site) == 0
    jobs = site.enqueue(f"[[scenario=echo run_s=10]]Question {n}" for n in range(15))
    site.enqueue(["Tomorrow?"], delay_s=86_400)
    assert demand(keda, site) == 15, "a job that waits for its start time needs no worker"
    workers = [site.start_worker() for _ in range(math.ceil(demand(keda, site) / site.settings.concurrency))]
    until(lambda: site.runs()["created"] == 15, "all jobs are in flight")
    assert demand(keda, site) == 15, "running jobs need their workers, although the queue is empty"

    site.enqueue(["At half the price?"], lane="batch")
    until(lambda: site.store.zcard(site.keys.lane_deadlines) == 1, "a job waits in the batch lane")
    assert demand(keda, site) == 15, "it needs no slot there"

    leaving, staying = workers
    until(lambda: site.held_by(leaving), "the worker that leaves has jobs")
    leaving.signal(signal.SIGTERM)
    assert leaving.exit_code() == 0, leaving.log()
    ended = site.await_results(jobs, patience_s=60)
    assert {record.state for record in ended} == {JobState.SUCCEEDED}
    assert {record.attempts for record in ended} == {1}, "a scale-in spends no attempt"
    assert site.runs()["created"] == 15, "the same runs continued"
    assert demand(keda, site) == 0
    assert staying.lives
    tell(f"15 jobs, {len(workers)} workers of {site.settings.concurrency} slots; one of them left, and no job was lost")
