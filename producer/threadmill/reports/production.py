"""Produces one report under its lease: builds, publishes and delivers it. Each step is saved before the next begins."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadmill.client import Client
from threadmill.errors import StoreUnavailable, ThreadmillError
from threadmill.reports import publish
from threadmill.reports.builder import ReportBuilder, Watch
from threadmill.reports.content.report import Report
from threadmill.reports.definitions.definition import ReportDefinition
from threadmill.reports.delivery.channel import Notification, deliver
from threadmill.reports.inputs import NoDocuments
from threadmill.reports.report_run import ReportRun, ReportState
from threadmill.reports.store import ReportStore
from threadmill.store.lease import Lease, LeaseLost

#: A run fails after this many processes have died while they produced it.
_MAX_ATTEMPTS = 5


class Stopped(ThreadmillError):
    """The caller has stopped the production. The run is handed back, and the next call resumes it."""


#: Exceptions that stop a production and do not count as an attempt.
_HANDS_BACK = (KeyboardInterrupt, Stopped)


class Production:
    """Produces `run` and keeps it up to date. `root` is the folder of the definitions.

    `check` is called about once a second, and can raise to stop. `delivers`: whether the report is also sent.
    """

    def __init__(
        self,
        client: Client,
        definition: ReportDefinition,
        run: ReportRun,
        lease: Lease,
        *,
        store: ReportStore,
        root: Path,
        watch: Watch,
        check: Callable[[], None],
        delivers: bool,
    ) -> None:
        self.run = run
        self._client = client
        self._definition = definition
        self._lease = lease
        self._store = store
        self._root = root
        self._watch = watch
        self._caller_check = check
        self._delivers = delivers

    def produce(self) -> ReportRun:
        """Returns the ended run. Raises LeaseLost, StoreUnavailable, and what `check` raises; a new call resumes it."""
        self._save()
        try:
            report = self._build()
            self._publish(report)
            self._check()
            self._deliver(publish.report_notification(report, self._definition, self.run))
            self._save(state=ReportState.PUBLISHED, ended_at=datetime.now(UTC))
        except _HANDS_BACK:
            with suppress(LeaseLost, StoreUnavailable):
                self._save(attempts=self.run.attempts - 1)
            raise
        except (LeaseLost, StoreUnavailable):
            raise
        except (ThreadmillError, OSError) as error:  # such as a folder that cannot be written
            self._fail(error)
        return self.run

    def _save(self, **changes: Any) -> None:
        self.run = self.run.model_copy(update=changes)
        self._store.save(self.run, self._lease)

    def _check(self) -> None:
        self._lease.check()
        self._caller_check()

    def _build(self) -> Report:
        """Returns the report; an earlier attempt may have built it."""
        run = self.run
        if run.attempts > _MAX_ATTEMPTS:
            raise ThreadmillError(
                f"{run.attempts - 1} processes died while they produced it; see their logs. "
                f"To try again: threadmill report run {run.report} --date {run.night}"
            )
        folder = publish.state_folder(self._root, run)
        if report := publish.load_report(folder):
            return report
        builder = ReportBuilder(
            self._client,
            self._definition,
            run.night,
            folder=folder,
            label=run.label,
            watch=self._watch,
            check=self._check,
        )
        return publish.save_report(folder, builder.build(run.begun_at))

    def _publish(self, report: Report) -> None:
        self._lease.ensure()
        files, link = publish.publish(report, self._definition, self._root)
        self._save(
            files=files,
            link=link,
            documents=len(report.sections),
            failed_documents=len(report.failed),
            usage=report.usage,
            cost=report.cost,
            currency=report.currency,
        )

    def _deliver(self, notification: Notification) -> None:
        """Sends the notification through the remaining channels. A crash repeats at most one delivery."""
        channels = self._definition.delivery.channels
        self._save(withheld=not self._delivers and bool(channels))
        for name, channel in channels.items() if self._delivers else ():
            if name not in self.run.deliveries:
                self._lease.ensure()
                self._save(deliveries={**self.run.deliveries, name: deliver(channel, notification)})

    def _fail(self, error: ThreadmillError | OSError) -> None:
        is_skipped = isinstance(error, NoDocuments) and self._definition.when_empty == "skip"
        state = ReportState.SKIPPED if is_skipped else ReportState.FAILED
        self._save(state=state, error=_reason(error), ended_at=datetime.now(UTC))
        if not is_skipped:
            self._deliver(publish.failure_notice(self._definition, self.run))


def _reason(error: ThreadmillError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
