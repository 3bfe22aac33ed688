"""Which tasks the pool starts in the event loop, and when it reports their ends."""

import select
import threading
from concurrent.futures import Future

import pytest

from threadmill.queue import ORIGIN
from threadmill_worker.celery_app import pool as module
from threadmill_worker.celery_app.pool import JobPool

OWN, FOREIGN = {"origin": ORIGIN}, {"origin": "gen1@host"}


class Loop:
    """Celery's event loop."""

    def add_reader(self, fd, callback):
        self.fd, self.callback = fd, callback

    def turn(self):
        """Waits until the pool wants to report."""
        assert select.select([self.fd], [], [], 10)[0]
        self.callback()


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def futures(monkeypatch):
    """The jobs that were started, by id."""
    started = {}
    monkeypatch.setattr(module, "_start", lambda job_id: started.setdefault(job_id, Future()))
    return started


@pytest.fixture
def pool(loop, futures):
    made = JobPool(2)
    made.register_with_event_loop(loop)
    yield made
    made.on_stop()


@pytest.fixture
def apply(pool):
    """Applies a task; returns the lists of its accepted and ended calls."""

    def apply(task_id, headers):
        accepted, ended = [], []
        pool.on_apply(
            lambda *_: threading.current_thread().name,
            args=(object, task_id, headers, b"", "", ""),
            callback=ended.append,
            accept_callback=lambda *given: accepted.append(given),
        )
        return accepted, ended

    return apply


def test_a_job_of_our_own_client_starts_without_a_thread(apply, futures, loop):
    accepted, ended = apply("job", OWN)

    assert len(accepted) == 1
    assert ended == []
    futures["job"].set_result((False, "Because.", 1.5))
    assert ended == [], "only Celery's thread reports it"
    loop.turn()
    assert ended == [(False, "Because.", 1.5)]


def test_a_message_of_another_client_runs_in_a_thread(pool, apply, futures):
    _, ended = apply("job", FOREIGN)
    pool.executor.shutdown(wait=True)

    assert futures == {}
    assert ended[0].startswith("ThreadPoolExecutor")


def test_without_an_event_loop_of_celery_all_messages_run_in_threads(futures):
    pool, ended = JobPool(1), []
    pool.on_apply(lambda *_: "done", args=(object, "job", OWN), callback=ended.append, accept_callback=lambda *_: None)
    pool.executor.shutdown(wait=True)

    assert (ended, futures) == (["done"], {})


def test_many_ends_are_reported_in_one_turn(apply, futures, loop):
    ends = [apply(f"job-{number}", OWN)[1] for number in range(50)]
    for future in futures.values():
        future.set_result((False, "", 0.0))
    loop.turn()

    assert all(len(end) == 1 for end in ends)


def test_a_pool_that_stops_waits_for_its_jobs(pool, apply, futures):
    _, ended = apply("job", OWN)
    stopping = threading.Thread(target=pool.on_stop)
    stopping.start()
    stopping.join(0.05)
    assert stopping.is_alive()
    futures["job"].set_result((True, "handed back", 0.1))
    stopping.join(10)

    assert not stopping.is_alive()
    assert ended == [(True, "handed back", 0.1)]
