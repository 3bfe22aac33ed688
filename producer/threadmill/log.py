"""Logging of a process that runs by itself: a worker, the scheduler of reports.

All lines go to stderr in one format: readable at a terminal, JSON elsewhere (THREADMILL_LOG=json|text decides).
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import structlog

from threadmill.secrets import redaction

#: A warning that repeats is logged once in so many seconds.
REPEAT_S = 5.0

#: Libraries that tell of each request, or of what our own lines tell, and from which level on they are heard.
_LIBRARIES = {
    "celery": logging.WARNING,
    "celery.beat": logging.CRITICAL,  # it adds tracebacks to what Celery's consumer says of Redis anyway
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "kombu": logging.ERROR,  # it warns of each message that a worker gives back when it stops
    "openai": logging.WARNING,
}

#: Warnings that are remembered before those whose time is over are dropped.
_REMEMBERED = 500


def configure(level: int | str) -> None:
    """Sends our own and every library's log lines through one handler, which redacts secrets."""
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
                _redacted,  # before a line is made of them: escapes in JSON would be cut in two
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
    """Celery writes paragraphs."""
    fields["event"] = " ".join(str(fields["event"]).split())
    return fields


def _redacted(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return redaction.redact_all(fields)


@dataclass
class _Repeats:
    until: float
    suppressed: int = 0


class RepeatFilter(logging.Filter):
    """Lets the same warning pass once in `interval_s` seconds; the next one carries `suppressed`, the number dropped.

    Two warnings are the same if event and endpoint are, or in a library's line the text before its arguments are put
    in. Lines below WARNING always pass. `clock`: seconds, monotonic.
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
    if isinstance(record.msg, dict):  # structlog's
        return record.name, record.levelno, record.msg.get("event"), record.msg.get("endpoint")
    return record.name, record.levelno, str(record.msg)


def _add(record: logging.LogRecord, **fields: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = record.msg | fields
    else:
        vars(record).update(fields)
