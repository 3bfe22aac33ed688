"""Celery's worker program with threadmill's logging; it stops at the first signal.

The original prints a banner and shutdown notices to stdout, and waits for running tasks after Ctrl-C.
"""

import signal
import sys
import warnings
from typing import Any

import click
from celery.apps.worker import Worker as CeleryWorker
from celery.apps.worker import install_cry_handler, install_worker_term_handler
from celery.exceptions import SecurityWarning
from celery.platforms import EX_FAILURE
from celery.utils.nodenames import default_nodename, node_format
from click.core import ParameterSource

from threadmill import log


class Worker(CeleryWorker):  # type: ignore[misc]
    """Replaces `Celery.Worker`, so that `celery worker` starts it too.

    Gossip and mingle are off: they synchronise clocks and revoked tasks, which threadmill does not use, and cost a
    second at the start and messages between all pairs of workers. Heartbeats are on, because monitors need them.
    """

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        if not _was_given("loglevel"):
            options["loglevel"] = "INFO"
        hostname = hostname if _was_given("hostname") else self.default_hostname()
        if options.get("logfile"):
            _write_log_to(node_format(options["logfile"], default_nodename(hostname)))
        log.configure(options["loglevel"])
        warnings.simplefilter("ignore", SecurityWarning)  # root is unsafe with pickled messages; threadmill's are JSON
        options |= {"quiet": True, "without_gossip": True, "without_mingle": True}
        super().__init__(app, hostname, **options)

    exitcode: int | None

    def start(self) -> None:
        """Runs until a signal stops it. Exits with code 1 if it stops for another reason."""
        super().start()
        if self.exitcode is None:
            self.exitcode = EX_FAILURE
        if self.exitcode:
            sys.exit(self.exitcode)  # Celery's `worker_main` drops the code

    def default_hostname(self) -> str | None:
        """The node name of a worker started without `--hostname`; None: Celery's default."""
        return None

    def setup_logging(self, colorize: bool | None = None) -> bool:
        """Returns True: logging is configured already, and Celery must not redirect stdout."""
        return True

    def install_platform_tweaks(self, worker: Any) -> None:
        """Handles all stop signals alike, instead of Celery's warm and cold shutdowns."""
        signals = ["SIGTERM", "SIGINT", "SIGQUIT"]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signals.append("SIGHUP")
        for name in signals:
            install_worker_term_handler(worker, sig=name, verbose=False)
        install_cry_handler()


def _write_log_to(path: str) -> None:
    """Ends the worker if it cannot write this file."""
    try:
        log.write_to(path)
    except OSError as error:
        sys.stderr.write(f"threadmill: --logfile {path} cannot be opened: {error.strerror}\n")
        sys.exit(2)


def _was_given(option: str) -> bool:
    """Whether the option was set; the value that Celery passes may be its default."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(option) not in (None, ParameterSource.DEFAULT)
