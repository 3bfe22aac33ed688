"""What a worker does about settings and a Redis that no waiting mends."""

import pytest
import redis
from celery.apps.worker import Worker as CeleryWorker
from redis import exceptions

import threadmill_worker
from threadmill.celery_worker import Worker
from threadmill.connection import Connection
from threadmill.errors import StoreRefused
from threadmill.settings import Settings
from threadmill_worker.tasks import _end_if_redis_refuses


def test_a_wrong_password_ends_the_worker_in_one_line(monkeypatch, capsys):
    def ping(self):
        raise StoreRefused("redis://:s3cret@h", "refused the password", "correct it in REDIS_URL")

    monkeypatch.setattr(Connection, "ping", ping)
    with pytest.raises(SystemExit) as ended:
        _end_if_redis_refuses(Settings())
    assert ended.value.code == 2
    assert capsys.readouterr().err == ("threadmill: Redis at redis://h refused the password: correct it in REDIS_URL\n")


@pytest.mark.parametrize(
    "reply",
    [redis.ConnectionError("refused"), exceptions.ReadOnlyError("replica"), exceptions.OutOfMemoryError("full")],
)
def test_a_worker_waits_for_a_redis_that_is_away(monkeypatch, reply):
    asked = []

    def ping(self):
        asked.append(self)
        with self._reaching():
            raise reply

    monkeypatch.setattr(Connection, "ping", ping)
    _end_if_redis_refuses(Settings())
    assert asked


def test_celery_shows_no_traceback_for_bad_settings(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://:s3cret@h/mine")
    with pytest.raises(SystemExit) as ended:
        _ = threadmill_worker.app
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("threadmill: `redis_url`: its database is not a number")
    assert told.count("\n") == 1
    assert "s3cret" not in told


@pytest.mark.parametrize(("code", "ends_with"), [(None, 1), (1, 1), (0, None)])
def test_a_worker_that_ends_without_being_asked_to_ends_with_an_error(monkeypatch, code, ends_with):
    def run(self):
        self.exitcode = code  # None: Celery's loop ended by itself; 1: of an exception; 0: of a signal

    monkeypatch.setattr(CeleryWorker, "start", run)
    worker = Worker.__new__(Worker)
    if ends_with is None:
        worker.start()
        return
    with pytest.raises(SystemExit) as ended:
        worker.start()
    assert ended.value.code == ends_with
