"""One format for all log lines, and each warning once in a while."""

import io
import json
import logging
import sys

import pytest
import structlog

from threadmill import log
from threadmill.secrets.redaction import REDACTOR


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message, *args, level=logging.WARNING, **fields):
    event = {"event": message, **fields} if fields else message
    return logging.LogRecord("threadmill_worker", level, "file.py", 1, event, args, None)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def repeats(clock):
    return log.RepeatFilter(interval_s=5, clock=clock)


def test_a_repeated_warning_passes_once_per_interval_with_the_number_dropped(repeats, clock):
    passed = []
    for second in range(12):
        clock.now = second
        line = record("Redis is away", reason=f"attempt {second}")
        if repeats.filter(line):
            passed.append((second, line.msg.get("suppressed")))

    assert passed == [(0, None), (5, 4), (10, 4)]


def test_warnings_of_two_endpoints_are_two_warnings(repeats):
    assert repeats.filter(record("call failed", endpoint="azure", job_id="1"))
    assert repeats.filter(record("call failed", endpoint="openai", job_id="2"))
    assert not repeats.filter(record("call failed", endpoint="azure", job_id="3"))


def test_a_librarys_warning_is_the_same_whatever_its_arguments(repeats, clock):
    assert repeats.filter(record("cannot connect, attempt %s", 1))
    assert not repeats.filter(record("cannot connect, attempt %s", 2))
    clock.now = 5
    third = record("cannot connect, attempt %s", 3)
    assert repeats.filter(third)
    assert (third.getMessage(), third.suppressed) == ("cannot connect, attempt 3", 1)


def test_lines_below_warning_always_pass(repeats):
    assert all(repeats.filter(record("run status", level=logging.INFO, job_id="1")) for _ in range(3))


def test_warnings_of_long_ago_are_forgotten(repeats, clock):
    for number in range(2000):
        clock.now = number
        repeats.filter(record(f"warning {number}"))

    assert len(repeats._seen) <= log._REMEMBERED


@pytest.fixture
def written(monkeypatch):
    """Logs as a process does, in text if THREADMILL_LOG says so; what was written so far."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure("info")
    yield stream.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    for library in log._LIBRARIES:
        logging.getLogger(library).setLevel(logging.NOTSET)


@pytest.fixture
def lines(written):
    return lambda: [json.loads(line) for line in written().splitlines()]


@pytest.fixture
def style(request, monkeypatch):
    monkeypatch.setenv("THREADMILL_LOG", request.param)
    return request.param


def test_our_own_lines_and_those_of_libraries_have_one_format(lines):
    structlog.get_logger("threadmill_worker").info("job finished", job_id="1")
    logging.getLogger("celery.worker").error("cannot\nconnect:  %s", "refused")
    logging.getLogger("celery.worker").info("Connected")

    ours, theirs = lines()
    assert (ours["event"], ours["job_id"], ours["level"]) == ("job finished", "1", "info")
    assert (theirs["event"], theirs["level"]) == ("cannot connect: refused", "error")
    assert ours.keys() >= {"timestamp"} <= theirs.keys()


def test_lines_below_the_level_are_left_out(lines):
    bound = structlog.get_logger("threadmill_worker").bind(job_id="1")
    bound.debug("phase")
    bound.log(logging.DEBUG, "start limited")
    bound.log(logging.INFO, "start limited")

    assert [(line["event"], line["level"]) for line in lines()] == [("start limited", "info")]


def test_lines_of_libraries_carry_the_number_of_suppressed_warnings(lines):
    [repeats] = [each for handler in logging.getLogger().handlers for each in handler.filters]
    repeats._clock = clock = Clock()
    for _ in range(3):
        logging.getLogger("celery").warning("Redis is away")
    clock.now = log.REPEAT_S
    logging.getLogger("celery").warning("Redis is away")

    assert [line.get("suppressed") for line in lines()] == [None, 2]


SECRET = "sk-\"odd'\\n\n天\té-4711"


@pytest.mark.parametrize("style", ["json", "text"], indirect=True)
def test_no_line_holds_a_secret(style, written):
    REDACTOR.register(SECRET)
    try:
        f"Bearer {SECRET}".encode("ascii")
    except UnicodeEncodeError as error:
        structlog.get_logger("a").exception("failed", error=error, header={"Authorization": f"Bearer {SECRET}"})
        structlog.get_logger("b").warning(f"failed with {SECRET}", reason=repr(error), of=[SECRET.encode()])
        logging.getLogger("library").exception("cannot send %r", SECRET)
        logging.getLogger("library").warning("cannot send %s", json.dumps({"key": SECRET}))
    said = written()

    assert said.count("[key]") >= 7
    for piece in ("4711", "odd", "sk-"):
        assert piece not in said
    if style == "json":
        assert len([json.loads(line) for line in said.splitlines()]) == 4


def test_the_lines_of_a_process_under_a_supervisor_tell_its_pid(monkeypatch, lines):
    monkeypatch.setattr(log, "_of_process", {})
    log.add_to_each_line(pid=77)
    structlog.get_logger("threadmill_worker").info("job finished", job_id="1")
    logging.getLogger("kombu").error("lost")
    assert [line["pid"] for line in lines()] == [77, 77]
