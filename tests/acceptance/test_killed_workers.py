"""Workers are killed with SIGKILL, again and again: each job has one result, from one run."""

import time
from random import Random

import pytest
from tests.acceptance.site import CHAT, RESPONSES, Site, until

from threadmill import JobState

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.settings(concurrency=50, lease_s=5, sweep_interval_s=1),
]

KILL_EVERY_S = 3.0

LANE = {"batch_lane_wait_s": 1, "batch_lane_max_jobs": 20, "first_poll_s": 0.2}


def kill_workers(
    site: Site, dice: Random, workers: int, kills: int, jobs_per_kill: int
) -> tuple[dict[str, str], list[float]]:
    """Enqueues jobs while workers are killed and replaced. Returns the jobs, and how long interrupted ones waited."""
    fleet = [site.start_worker() for _ in range(workers)]
    jobs: dict[str, str] = {}
    killed: list[tuple[float, str]] = []
    idle: dict[tuple[float, str], float] = {}
    for nth in range(kills):
        next_kill = time.monotonic() + KILL_EVERY_S
        prompts = [f"[[scenario=echo run_s=2]]\nQuestion {nth}.{number}" for number in range(jobs_per_kill)]
        enqueued = site.enqueue(prompts)
        site.watch(enqueued)
        jobs |= enqueued
        until(lambda: site.count(JobState.RUNNING) > jobs_per_kill / 2, "jobs run")
        time.sleep(dice.uniform(0, 1.5))
        victim = dice.choice([worker for worker in fleet if site.held_by(worker)] or fleet)
        fleet.remove(victim)
        victim.kill()
        killed += [(time.time(), job_id) for job_id in site.held_by(victim)]
        fleet.append(site.begin_worker())
        time.sleep(max(0.0, next_kill - time.monotonic()))
        site.await_worker(fleet[-1])
        idle |= _idle(site, killed)

    def have_ended() -> bool:
        idle.update(_idle(site, killed))
        return all(record.result for record in site.records(jobs))

    until(have_ended, f"{len(jobs)} jobs have ended", 150)
    return jobs, list(idle.values())


def _idle(site: Site, killed: list[tuple[float, str]]) -> dict[tuple[float, str], float]:
    """How long each job that lost its worker did not run, as far as it has run again."""
    again = {
        (at, job_id): [moment - at for moment in site.moments(job_id, JobState.RUNNING) if moment > at]
        for at, job_id in killed
    }
    return {each: later[0] for each, later in again.items() if later}


def check(site: Site, jobs: dict[str, str], idle: list[float], tell, *, once: bool = True) -> None:
    records = site.records(jobs)
    assert [record.state for record in records] == [JobState.SUCCEEDED] * len(jobs)
    for record in records:
        assert record.result.text == jobs[record.id].partition("\n")[2], "each has its own answer"
    if once:
        assert site.completed_runs() == dict.fromkeys(jobs, 1), "exactly one run of each came to its end"
    lost = sum(record.result.lost_threads + record.result.lost_runs for record in records)
    until(lambda: site.alive() <= lost, f"no more than the {lost} lost threads or responses are alive")

    attempts = [record.attempts for record in records]
    tell(
        f"{len(jobs)} jobs, {len(jobs)} results, {sum(site.completed_runs().values())} completed runs; "
        f"{sum(attempts) - len(jobs)} attempts cut off by kills, at most {max(attempts)} for one job; "
        f"{site.alive()} threads or responses alive, {lost} counted as lost"
    )
    tell(f"{len(idle)} jobs of killed workers ran again after {sorted(idle)[len(idle) // 2]:.1f} s (median), "
         f"{max(idle):.1f} s (worst)")  # fmt: skip


def test_no_job_is_lost_and_none_runs_twice(site, dice, tell):
    jobs, idle = kill_workers(site, dice, workers=3, kills=5, jobs_per_kill=60)

    check(site, jobs, idle, tell)
    assert max(idle) < 60


#: The server refuses at random, which says nothing about a rate.
@pytest.mark.settings(lease_s=5, sweep_interval_s=1, endpoint={"limits": {"learn": False}})
def test_the_same_on_a_server_that_fails(site, dice, tell):
    site.faults(drop_before=0.05, drop_after=0.05, error_500=0.05, rate_limit_429=0.05, retry_after_s=0.2)
    jobs, idle = kill_workers(site, dice, workers=3, kills=3, jobs_per_kill=50)

    check(site, jobs, idle, tell)
    tell(f"faults: {site.stats()['faults']}")


@pytest.mark.settings(lease_s=3, sweep_interval_s=0.5, endpoint=RESPONSES | LANE)
def test_the_batch_lane_outlives_its_workers(site, dice, tell):
    workers = [site.start_worker() for _ in range(3)]
    jobs: dict[str, str] = {}
    for kill in range(3):
        jobs |= site.enqueue([f"[[scenario=echo]]\nQuestion {kill}.{number}" for number in range(40)], lane="batch")
        time.sleep(dice.uniform(0.5, 2.5))
        workers[kill].kill()
        workers.append(site.start_worker())

    site.await_results(jobs, patience_s=150)

    records = site.records(jobs)
    assert [record.state for record in records] == [JobState.SUCCEEDED] * len(jobs)
    assert all(record.result.text == jobs[record.id].partition("\n")[2] for record in records)
    assert site.completed_runs() == dict.fromkeys(jobs, 1), "no question was paid for twice"
    until(lambda: site.alive() == 0 and site.stats()["files"]["alive"] == 0, "nothing is left on the server")
    tell(f"{len(jobs)} jobs of the batch lane, 3 workers killed: {len(jobs)} results, one run each")


#: The server refuses at random, which says nothing about a rate.
@pytest.mark.settings(lease_s=5, sweep_interval_s=1)
@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(wire["wire"], marks=pytest.mark.settings(endpoint=wire | {"limits": {"learn": False}}))
        for wire in (RESPONSES, CHAT)
    ],
)
def test_the_same_on_other_servers_that_fail(site, dice, tell, wire):
    """A response whose reply was lost cannot be found: there may be several, but the job has one answer."""
    site.faults(drop_before=0.05, drop_after=0.05, error_500=0.05, rate_limit_429=0.05, retry_after_s=0.2)
    jobs, idle = kill_workers(site, dice, workers=3, kills=3, jobs_per_kill=50)

    check(site, jobs, idle, tell, once=False)
    tell(f"faults: {site.stats()['faults']}")


@pytest.mark.settings(endpoint=CHAT)
def test_a_call_is_made_again_for_each_worker_that_it_loses(site, dice, tell):
    """A chat completion dies with its worker. Nobody can tell whether it was paid, so it counts as lost."""
    jobs, idle = kill_workers(site, dice, workers=3, kills=3, jobs_per_kill=50)

    check(site, jobs, idle, tell, once=False)
    records, asked = site.records(jobs), site.runs()
    assert all(record.result.lost_runs <= record.attempts - 1 for record in records)
    lost = sum(record.result.lost_runs for record in records)
    assert 0 < asked["created"] - len(jobs) <= lost
    assert asked["most_alike"] <= max(record.attempts for record in records)
    tell(
        f"{asked['created']} calls for {len(jobs)} jobs, {lost} counted as lost, one prompt {asked['most_alike']} times"
    )


@pytest.mark.parametrize(
    "help",
    [
        pytest.param(name, marks=pytest.mark.settings(endpoint=RESPONSES | {"supports": {name: True}}))
        for name in ("idempotency_keys", "list_responses")
    ],
)
def test_a_server_of_the_responses_api_that_helps_runs_each_job_once(help, site, dice, tell):
    site.faults(drop_before=0.05, drop_after=0.05, error_500=0.05, rate_limit_429=0.05, retry_after_s=0.2)
    jobs, idle = kill_workers(site, dice, workers=3, kills=2, jobs_per_kill=50)

    check(site, jobs, idle, tell)
    results = [record.result for record in site.records(jobs)]
    assert [(result.lost_runs, result.lost_threads) for result in results] == [(0, 0)] * len(jobs)
    tell(f"faults: {site.stats()['faults']}")
