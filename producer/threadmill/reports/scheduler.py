"""`threadmill report schedule`: Celery beat and a Celery worker in one process.

Beat sends a task every minute, and a worker of any scheduler produces the reports that are due; each scheduler also
does so when it starts. The lease of a night and its state in Redis ensure that each night is produced once. So two
schedulers are safe, a lost task costs a minute, and a task during a long production finds the lease taken. Beat
needs no schedule file, which two schedulers could not share.
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
from threadmill.reports.definitions.files import load, names
from threadmill.reports.production import Stopped
from threadmill.reports.report_run import ReportRun, describe
from threadmill.reports.runner import ReportProblem, ReportRunner
from threadmill.settings.settings import Settings

TICK = "threadmill.report_due"

#: Reports that one scheduler produces at a time.
_AT_ONCE = 4

log = structlog.get_logger(__name__)


def run_scheduler(settings: Settings, every_s: float) -> None:
    """Runs until SIGTERM or Ctrl-C, which hand unfinished nights back. At most one per Python process."""
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped("the scheduler was stopped; the next one resumes")

    app = _app(settings, every_s)
    tick = _Tick(ReportRunner(Client(settings), check=check), settings.reports)
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
    """Returns the definition files, and the name and the time of the next report, for the log."""
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
        # The next task replaces one that finds no free thread.
        beat_schedule={"due": {"task": TICK, "schedule": every_s, "options": {"expires": every_s}}},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # errors that Redis returns during a failover are temporary
        # Monitors should only list the workers of jobs.
        worker_enable_remote_control=False,
    )
    return app


class _Tick:
    """Produces due reports, and logs them with the next one. A repeated problem is logged once."""

    def __init__(self, runner: ReportRunner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._problems: dict[str, str] = {}

    def __call__(self) -> None:
        now = datetime.now(UTC)
        try:
            results = self._runner.run_due(now, names(self._folder))
        except Stopped:
            return
        except ThreadmillError as error:
            log.error("reports not produced", reason=str(error))
            return
        problems = {each.report: each.reason for each in results if isinstance(each, ReportProblem)}
        for report, reason in problems.items():
            if self._problems.get(report) != reason:
                log.error("report not started", report=report, reason=reason)
        self._problems = problems
        following = watched(self._folder, now)
        for run in results:
            if isinstance(run, ReportRun):
                say: Callable[..., None] = log.info if run.ok else log.error
                say(
                    "report finished",
                    report=run.report,
                    night=str(run.night),
                    state=run.state.value,
                    summary=describe(run),
                    next_report=following["next_report"],
                    next_at=following["next_at"],
                )
