"""What a worker does about settings, options and a Redis with which it cannot work."""

import os
import sys

import pytest
import redis
from celery.apps.worker import Worker as CeleryWorker
from celery.signals import worker_init
from celery.worker import WorkController
from redis import exceptions
from tests.forking.forked import run

import threadmill_worker
from threadmill.celery_worker import Worker
from threadmill.errors import StoreRefused
from threadmill.queue import make_app
from threadmill.settings.settings import Settings
from threadmill.store.connection import Connection
from threadmill_worker.celery_app.options import refusal
from threadmill_worker.celery_app.runtime import _end_if_redis_refuses


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
def test_a_worker_waits_for_redis_to_become_available(monkeypatch, reply):
    asked = []

    def ping(self):
        asked.append(self)
        with self._translate_errors():
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


@pytest.fixture
def refused(monkeypatch):
    """Why `celery worker` with these options is refused; None if it is not."""
    monkeypatch.setattr(worker_init, "receivers", [])

    def start(*options):
        reasons = []

        def stop(sender, **_):
            reasons.append(refusal(sender, "threadmill"))
            raise SystemExit

        app = make_app(Settings())
        app.Worker = app.subclass_with_self(WorkController, name="Worker")
        worker_init.connect(stop)
        with pytest.raises(SystemExit):
            app.worker_main(["worker", *options])
        return reasons[0]

    return start


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pool", "solo"], "--pool must be `threads`"),
        (["--pool", "processes"], "--pool must be `threads`"),
        (["--autoscale", "10,2"], "--autoscale does not work with the threads pool: set --concurrency"),
        (["--concurrency", "auto"], "--concurrency must be a number"),
        (["--max-tasks-per-child", "10"], "--max-tasks-per-child has no effect"),
        (["--max-memory-per-child", "10000"], "--max-memory-per-child has no effect"),
        (["--time-limit", "10"], "--time-limit has no effect on jobs"),
        (["--soft-time-limit", "10"], "--soft-time-limit has no effect on jobs"),
        (["-B"], "--beat does not work inside this worker: run `threadmill report schedule`"),
        (["--purge"], "--purge would delete jobs that other Celery clients sent"),
        (["-Q", "other"], "--queues must be 'threadmill', the setting `queue`"),
        (["-Q", "threadmill,other"], "--queues must be 'threadmill'"),
        (["-X", "threadmill"], "--queues must be 'threadmill'"),
    ],
)
def test_harmful_and_useless_options_are_refused_with_the_reason(refused, options, says):
    assert refused(*options).startswith(says)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--pool", "threads", "--concurrency", "7", "-Q", "threadmill"],
        ["--without-heartbeat", "--disable-prefetch", "-O", "fair", "-E", "--prefetch-multiplier", "2", "-S", "state"],
    ],
)
def test_harmless_options_are_accepted(refused, options):
    assert refused(*options) is None


def test_a_refused_option_ends_the_worker_in_one_line(tmp_path):
    command = [sys.executable, "-m", "celery", "-A", "threadmill_worker", "worker", "--autoscale", "10,2"]
    done = run(command, cwd=tmp_path, env=os.environ, input="", timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("threadmill: --autoscale does not work")
    assert done.stderr.count("\n") == 1


def test_with_a_log_file_nothing_is_written_elsewhere(tmp_path):
    (tmp_path / "one.log").write_text("earlier\n")
    command = [sys.executable, "-m", "celery", "-A", "threadmill_worker", "worker", "--autoscale", "10,2"]
    done = run([*command, "-n", "one@here", "--logfile", "%n.log"], cwd=tmp_path, env=os.environ, input="", timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert (tmp_path / "one.log").read_text().startswith("earlier\nthreadmill: --autoscale does not work")


def test_a_log_file_that_cannot_be_opened_ends_the_worker_in_one_line(tmp_path):
    command = [sys.executable, "-m", "celery", "-A", "threadmill_worker", "worker", "--logfile", "away/worker.log"]
    done = run(command, cwd=tmp_path, env=os.environ, input="", timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "threadmill: --logfile away/worker.log cannot be opened: No such file or directory\n"


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
