"""`threadmill report schedule`: Celery beat and a worker of its own, in one process.

Beat sends a tick every minute, a worker of any scheduler takes it and makes what is due; so does each
scheduler once when it starts. The tick decides nothing: the lease of a night in Redis does, and what Redis
knows of it. So two schedulers, which send two ticks, make one report per night; a lost tick costs a minute,
a tick during an overlong report finds its night held. That is why beat keeps no schedule of its own: neither
a file, which two schedulers would fight about, nor a lock in Redis, which could not know of `report due`.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from celery.beat import EmbeddedService
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from threadmill.celery_worker import Worker
from threadmill.client import Client
from threadmill.errors import ThreadmillError
from threadmill.queue import connection_settings
from threadmill.reports.files import load, names
from threadmill.reports.night import Night, describe
from threadmill.reports.nightly import Nightly, Problem, Stopped
from threadmill.settings import Settings

TICK = "threadmill.report_due"

#: Reports that one scheduler makes at a time.
_AT_ONCE = 4

log = structlog.get_logger(__name__)


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
        log.info("scheduler started", every_s=every_s, **watched(settings.reports, datetime.now(UTC)))
        app.send_task(TICK, expires=every_s)
        beat.start()

    def stop(sig: str, **_: Any) -> None:
        log.info("scheduler stopping", reason=sig)
        stopping.set()
        beat.service.stop()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)
    worker_shutdown.connect(lambda **_: log.info("scheduler stopped"), weak=False)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={_AT_ONCE}",
            f"--hostname=reports-{os.getpid()}@%h",
            "--without-heartbeat",
        ]
    )


def watched(folder: Path, now: datetime) -> dict[str, Any]:
    """The definition files, and the name and moment of the next report. Broken and unscheduled ones have none."""
    fires = {}
    for name in names(folder):
        with suppress(ThreadmillError):
            if clock := load(folder, name).clock:
                [fire] = clock.next_fires(now, 1)
                fires[name] = fire.at
    following = min(fires, key=fires.__getitem__, default=None)
    return {
        "files": [str(folder.absolute() / f"{name}.toml") for name in names(folder)],
        "next_report": following,
        "next_at": fires[following].isoformat() if following else None,
    }


def _app(settings: Settings, every_s: float) -> Celery:
    app = Celery("threadmill-reports")
    app.Worker = app.subclass_with_self(Worker)
    app.conf.update(
        **connection_settings(settings.redis_url),
        task_default_queue=f"{settings.queue}-reports",
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        # A tick that found no free thread until the next one is sent is not needed any more.
        beat_schedule={"due": {"task": TICK, "schedule": every_s, "options": {"expires": every_s}}},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # what Redis replies during a failover is no reason to end
        # Monitors are to list the workers of jobs, and what they send them is not for us.
        worker_enable_remote_control=False,
    )
    return app


class _Tick:
    """Makes what is due, and logs it, with what is next. A problem that lasts is logged once."""

    def __init__(self, nightly: Nightly, folder: Path) -> None:
        self._nightly = nightly
        self._folder = folder
        self._problems: dict[str, str] = {}

    def __call__(self) -> None:
        now = datetime.now(UTC)
        try:
            made = self._nightly.make_due(now, names(self._folder))
        except Stopped:
            return
        except ThreadmillError as error:
            log.error("reports not made", reason=str(error))
            return
        problems = {each.report: each.reason for each in made if isinstance(each, Problem)}
        for report, reason in problems.items():
            if self._problems.get(report) != reason:
                log.error("report not started", report=report, reason=reason)
        self._problems = problems
        following = watched(self._folder, now)
        for night in made:
            if isinstance(night, Night):
                say: Callable[..., None] = log.info if night.ok else log.error
                say(
                    "report finished",
                    report=night.report,
                    night=str(night.night),
                    state=night.state.value,
                    summary=describe(night),
                    next_report=following["next_report"],
                    next_at=following["next_at"],
                )
