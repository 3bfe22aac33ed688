"""`threadmill report schedule`: Celery beat and a worker of its own, in one process.

Beat sends a tick every minute, a worker of any scheduler takes it and makes what is due; so does each
scheduler once when it starts. The tick decides nothing: the lease of a night in Redis does, and what Redis
knows of it. So two schedulers, which send two ticks, make one report per night; a lost tick costs a minute,
a tick during an overlong report finds its night held. That is why beat keeps no schedule of its own: neither
a file, which two schedulers would fight about, nor a lock in Redis, which could not know of `report due`.
"""

import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from threadmill.client import Client
from threadmill.errors import ThreadmillError
from threadmill.reports.files import names
from threadmill.reports.night import Night
from threadmill.reports.nightly import Nightly, Problem, Stopped
from threadmill.settings import Settings

TICK = "threadmill.report_due"

#: Reports that one scheduler makes at a time.
_AT_ONCE = 4

_log = logging.getLogger(__name__)


def run_scheduler(settings: Settings, every_s: float) -> None:
    """Until SIGTERM or Ctrl-C; nights in the making are handed back then. At most one per Python process."""
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped("the scheduler was stopped: the next call goes on")

    app = _app(settings, every_s)
    tick = _Tick(Nightly(Client(settings), check=check), settings.reports)
    app.task(name=TICK, typing=False)(tick.__call__)
    beat = EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler")

    def start(**_: Any) -> None:
        for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace"):  # which tell of each tick
            logging.getLogger(name).setLevel(logging.WARNING)
        app.send_task(TICK, expires=every_s)
        beat.start()

    def stop(**_: Any) -> None:
        stopping.set()
        beat.service.stop()

    def end(sender: Any, **_: Any) -> None:
        if stopping.is_set():
            sender.exitcode = 0  # Celery's is 1 after Ctrl-C

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)
    worker_shutdown.connect(end, weak=False)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={_AT_ONCE}",
            "--loglevel=info",
            f"--hostname=reports-{os.getpid()}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def _app(settings: Settings, every_s: float) -> Celery:
    app = Celery("threadmill-reports", broker=settings.redis_url)
    app.conf.update(
        task_default_queue=f"{settings.queue}-reports",
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        # A tick that found no free thread until the next one is sent is not needed any more.
        beat_schedule={"due": {"task": TICK, "schedule": every_s, "options": {"expires": every_s}}},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    return app


class _Tick:
    """Makes what is due, and logs it; a problem that lasts is logged once."""

    def __init__(self, nightly: Nightly, folder: Path) -> None:
        self._nightly = nightly
        self._folder = folder
        self._problems: dict[str, str] = {}

    def __call__(self) -> None:
        try:
            made = self._nightly.make_due(datetime.now(UTC), names(self._folder))
        except Stopped:
            return
        except ThreadmillError as error:
            _log.error("%s", error)
            return
        problems = {each.report: each.reason for each in made if isinstance(each, Problem)}
        for report, reason in problems.items():
            if self._problems.get(report) != reason:
                _log.error("report %s: %s", report, reason)
        self._problems = problems
        for night in made:
            if isinstance(night, Night):
                said: Callable[..., None] = _log.info if night.ok else _log.error
                said("report %s, night of %s: %s", night.report, night.night, describe(night))


def describe(night: Night) -> str:
    """How it stands, in a few words."""
    undelivered = [f"{channel} not delivered: {why}" for channel, why in night.deliveries.items() if why]
    return ", ".join(
        filter(
            None, [night.state, night.error or night.link, *undelivered, "not delivered" if night.withheld else None]
        )
    )
