"""Configures logging for the worker and the scheduler of reports.

All lines go to stderr: as text at a terminal, as JSON elsewhere. THREADMILL_LOG=json|text overrides that.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import structlog

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


def configure(level: int | str) -> None:
    """Sends all log lines, including those of libraries, through one handler, which redacts secrets."""
    redaction.guard()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = os.environ.get("THREADMILL_LOG", "text" if sys.stderr.isatty() else "json") == "json"
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacted,  # before rendering: redacting JSON could cut an escape in two
                renderer,
            ],
            foreign_pre_chain=[*shared, _on_one_line, structlog.stdlib.ExtraAdder(allow=["suppressed"])],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if isinstance(level, int) else level.upper())
    for library, heard_from in _LIBRARIES.items():
        logging.getLogger(library).setLevel(heard_from)
    logging.captureWarnings(True)


def _on_one_line(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Joins the lines of an event; Celery logs several at once."""
    fields["event"] = " ".join(str(fields["event"]).split())
    return fields


def _redacted(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return redaction.redact_all(fields)


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
