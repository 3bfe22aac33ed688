"""Configures logging for the worker and the scheduler of reports.

All lines go to stderr: as text at a terminal, as JSON elsewhere. THREADMILL_LOG=json|text overrides that.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import structlog
from structlog.typing import EventDict, Processor, ProcessorReturnValue

from threadmill.secrets import redaction

#: A repeated warning is logged once in this many seconds.
REPEAT_S = 5.0

#: Minimum levels of libraries that log each request, or repeat threadmill's own lines.
_LIBRARIES = {
    "celery": logging.WARNING,
    "celery.beat": logging.CRITICAL,  # repeats, with a traceback, what Celery's consumer logs about Redis
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "kombu": logging.ERROR,  # warns about each message that a stopping worker returns to the queue
    "openai": logging.WARNING,
}

#: Number of remembered warnings above which old ones are dropped.
_REMEMBERED = 500


#: Fields that each line of this process has.
_of_process: dict[str, int] = {}


#: What returns fields for the line that is written now.
_sources: list[Callable[[], Mapping[str, str]]] = []


def add_to_each_line(**fields: int) -> None:
    """Adds fields to each line of this process, for several processes that write to one stderr."""
    _of_process.update(fields)


def add_from(source: Callable[[], Mapping[str, str]]) -> None:
    """Adds to each line the fields that `source` returns, such as the ids of its trace. It is called for each line."""
    if source not in _sources:
        _sources.append(source)


def write_to(path: str) -> None:
    """Appends stderr and stdout to a file from now on: log lines, and what a crash or a library prints. Raises OSError.

    The file stays open, so it must not be moved away: logrotate needs `copytruncate`.
    """
    with open(path, "a") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def configure(level: int | str) -> None:
    """Sends all log lines, including those of libraries, through one handler, which redacts secrets."""
    redaction.guard()
    root = logging.getLogger()
    root.setLevel(level if isinstance(level, int) else level.upper())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = os.environ.get("THREADMILL_LOG", "text" if sys.stderr.isatty() else "json") == "json"
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _with_those_of_process,
                structlog.processors.format_exc_info,
                _redacting(renderer),
            ],
            foreign_pre_chain=[*shared, _on_one_line, structlog.stdlib.ExtraAdder(allow=["suppressed"])],
        )
    )
    root.handlers[:] = [handler]
    for library, heard_from in _LIBRARIES.items():
        logging.getLogger(library).setLevel(heard_from)
    logging.captureWarnings(True)


def _on_one_line(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """Joins the lines of an event; Celery logs several at once."""
    fields["event"] = " ".join(str(fields["event"]).split())
    return fields


def _with_those_of_process(_logger: object, _method: str, fields: EventDict) -> EventDict:
    fields.update(_of_process)
    for source in _sources:
        fields.update(source())
    return fields


def _redacting(renderer: Processor) -> Processor:
    """Redacts the fields, not their rendered line: redacting JSON could cut an escape in two.

    The line is faster to search than the fields, so it says whether they may hold a secret.
    """

    def render(logger: object, method: str, fields: EventDict) -> ProcessorReturnValue:
        line = renderer(logger, method, dict(fields))
        if not redaction.may_hold_secret(str(line)):
            return line
        return renderer(logger, method, redaction.redact_all(fields))

    return render


@dataclass
class _Repeats:
    until: float
    suppressed: int = 0


class RepeatFilter(logging.Filter):
    """Passes the same warning once in `interval_s` seconds. The next one says how many were dropped: `suppressed`.

    Two warnings are the same if their event and endpoint are equal; for lines of libraries, if their text without the
    arguments is. Lines below WARNING always pass. `clock` returns monotonic seconds.
    """

    def __init__(self, interval_s: float = REPEAT_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._clock = clock
        self._seen: dict[Hashable, _Repeats] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key, now = _identity(record), self._clock()
        repeats = self._seen.get(key)
        if repeats is not None and now < repeats.until:
            repeats.suppressed += 1
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen = {each: seen for each, seen in self._seen.items() if now < seen.until}
        self._seen[key] = _Repeats(now + self._interval_s)
        if repeats is not None and repeats.suppressed:
            _add(record, suppressed=repeats.suppressed)
        return True


def _identity(record: logging.LogRecord) -> Hashable:
    if isinstance(record.msg, dict):  # from structlog
        return record.name, record.levelno, record.msg.get("event"), record.msg.get("endpoint")
    return record.name, record.levelno, str(record.msg)


def _add(record: logging.LogRecord, **fields: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = record.msg | fields
    else:
        vars(record).update(fields)
