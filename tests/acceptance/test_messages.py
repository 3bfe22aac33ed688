"""A message only names a job: repeated messages run it once, and a lost message costs seconds."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from tests.acceptance.site import PATIENCE_S, until

from threadmill import JobState
from threadmill.queue import TASK, make_app

pytestmark = pytest.mark.acceptance


def test_a_message_delivered_three_times_at_once_runs_its_job_once(site):
    job_id = site.client.enqueue("[[scenario=echo run_s=2]]Once").id
    site.offer_slots(1)
    [message] = site.store.lrange(site.settings.queue, 0, -1)
    site.store.lpush(site.settings.queue, message)  # the very same message
    make_app(site.settings).send_task(TASK, args=[job_id], task_id=job_id, ignore_result=True)  # another one for it
    site.start_worker()
    site.start_worker()

    [record] = site.await_results([job_id], PATIENCE_S)
    until(lambda: not site.store.llen(site.settings.queue), "all messages are taken")
    assert (record.state, record.attempts, record.result.text) == (JobState.SUCCEEDED, 1, "Once")
    assert site.stats()["runs"]["created"] == 1


@pytest.mark.settings(sweep_interval_s=1)
@pytest.mark.parametrize("lost", [1, 50])
def test_jobs_whose_messages_are_lost_run_all_the_same(site, tell, lost):
    jobs = site.enqueue(f"[[scenario=echo run_s=0.5]]Question {n}" for n in range(50))
    site.store.hset(site.keys.pool("emulator"), "known", 1)  # else few jobs are dispatched until one has started
    site.offer_slots(50)
    queue = site.settings.queue
    site.store.ltrim(queue, lost, -1)
    assert site.store.llen(queue) == 50 - lost
    lost_at = time.monotonic()
    site.start_worker()

    records = site.await_results(jobs, PATIENCE_S)
    tell(f"{lost} of 50 messages lost: all results {time.monotonic() - lost_at:.1f} s later")
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    assert site.completed_runs() == dict.fromkeys(jobs, 1)


ENQUEUE = """
import random, sys
from threadmill import Client
client = Client()
keys = [number for number in range(100) for _ in range(10)]
random.Random(int(sys.argv[1])).shuffle(keys)
print("ready", flush=True)
sys.stdin.readline()
for number in keys:
    client.enqueue({"prompt": f"[[scenario=echo run_s=0.5]]Question {number}", "key": f"question-{number}"})
"""


def test_two_producers_enqueue_the_same_keys_at_once(site, dice, tell):
    commands = [[sys.executable, "-c", ENQUEUE, str(dice.randrange(2**32))] for _ in range(2)]
    variables = {**os.environ, **site.environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as opened:
        producers = [opened.enter_context(subprocess.Popen(command, env=variables, **pipes)) for command in commands]
        assert [producer.stdout.readline() for producer in producers] == ["ready\n", "ready\n"]
        began = time.monotonic()
        for producer in producers:
            producer.stdin.write("go\n")
            producer.stdin.flush()
        assert [producer.wait(PATIENCE_S) for producer in producers] == [0, 0]
    tell(f"2 x 1,000 enqueues over 100 keys took {time.monotonic() - began:.1f} s")

    jobs = site.client.jobs(limit=1000)
    assert len(jobs) == site.count(JobState.QUEUED) == 100
    site.start_worker()
    records = site.await_results([job.id for job in jobs], PATIENCE_S)
    assert sorted(record.result.text for record in records) == sorted(f"Question {n}" for n in range(100))
    until(lambda: not site.store.llen(site.settings.queue), "all messages are taken")
    assert site.stats()["runs"]["created"] == 100
