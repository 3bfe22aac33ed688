"""What a worker does about settings and a Redis that no waiting mends."""

import pytest

import threadmill_worker
from threadmill.connection import Connection
from threadmill.errors import StoreRefused, StoreUnavailable
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


def test_a_worker_waits_for_a_redis_that_is_away(monkeypatch):
    asked = []

    def ping(self):
        asked.append(self)
        raise StoreUnavailable("redis://h", OSError("refused"))

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
