"""`python -m threadmill_worker`: one worker process, or several under a supervisor."""

import argparse
import os
import socket
import sys
from collections.abc import Iterator

import structlog

from threadmill import log
from threadmill.errors import SettingsError
from threadmill.secrets import redaction
from threadmill.settings.processes import AUTO, number_or_auto
from threadmill.settings.settings import Settings
from threadmill_worker.monitoring.processes import ProcessesMonitoring
from threadmill_worker.supervisor.cores import usable_cores
from threadmill_worker.supervisor.supervised import follow_supervisor
from threadmill_worker.supervisor.supervisor import Supervisor


def main() -> int:
    redaction.guard()
    parser = argparse.ArgumentParser(prog="threadmill worker", description="Run a worker until SIGTERM or Ctrl-C.")
    parser.add_argument("--concurrency", type=int, help="jobs at a time and process (default: the setting)")
    parser.add_argument("--processes", help="a number, or auto: one per core (default: the setting, which is 1)")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("-n", "--name", help="node name in Celery's monitors (default: a unique one)")
    parser.add_argument("--metrics-port", type=_port, help="serve /metrics on this port (default: the setting)")
    parser.add_argument("--health-port", type=_port, help="answer probes on this port (default: the setting)")
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # a process of a supervisor
    parser.add_argument("--monitoring-fd", type=int, help=argparse.SUPPRESS)  # the socket for its pages
    options = parser.parse_args()
    if options.concurrency is not None and options.concurrency < 1:  # Celery would take 0 for its default
        parser.error("--concurrency must be at least 1")
    try:
        asked = number_or_auto(options.processes) if options.processes is not None else None
    except ValueError as error:
        parser.error(f"--processes {error}")
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.stderr.write(f"threadmill: {error}\n")
        return 2
    settings = settings.model_copy(update=_ports(options))
    if options.supervised:
        follow_supervisor()
        return _work(settings, options)
    processes = asked or settings.processes
    count = usable_cores() if processes == AUTO else processes
    return _work(settings, options) if count == 1 else _supervise(settings, options, count)


def _work(settings: Settings, options: argparse.Namespace) -> int:
    """Runs the jobs in this process."""
    from threadmill_worker.celery_app.tasks import make_worker_app  # a supervisor does not need it, nor its memory

    arguments = ["worker", "--loglevel", options.log_level]
    if options.concurrency is not None:
        arguments += ["--concurrency", str(options.concurrency)]
    if options.name:
        arguments += ["--hostname", options.name]
    inherited = None if options.monitoring_fd is None else socket.socket(fileno=options.monitoring_fd)
    make_worker_app(settings, is_supervised=options.supervised, monitoring_socket=inherited).worker_main(arguments)
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise ValueError
    return port


def _ports(options: argparse.Namespace) -> dict[str, int]:
    """Returns the settings that the options replace."""
    given = {"worker_metrics_port": options.metrics_port, "worker_health_port": options.health_port}
    return {name: port for name, port in given.items() if port is not None}


def _supervise(settings: Settings, options: argparse.Namespace, count: int) -> int:
    """Runs the jobs in `count` processes, each with its own slots."""
    log.configure(options.log_level)
    concurrency = options.concurrency or settings.concurrency
    structlog.get_logger(__name__).info(
        "supervisor started", pid=os.getpid(), processes=count, concurrency=concurrency, slots=count * concurrency
    )
    command = [sys.executable, "-m", "threadmill_worker", "--supervised", "--log-level", options.log_level]
    command += ["--concurrency", str(concurrency)]
    names = _names(options.name, count) if options.name else [()] * count
    ports = {"--metrics-port": settings.worker_metrics_port, "--health-port": settings.worker_health_port}
    command += [part for option, port in ports.items() if port for part in (option, str(port))]
    try:
        monitoring = ProcessesMonitoring(settings, count)
    except SettingsError as error:
        sys.stderr.write(f"threadmill: {error}\n")
        return 2
    commands = [[*command, *name] for name in names]
    return Supervisor(commands, [each.fileno() for each in monitoring.sockets]).run()


def _names(name: str, count: int) -> Iterator[tuple[str, str]]:
    """Yields the option for the node name of each process: w-1@host, w-2@host for w@host."""
    node, at, host = name.partition("@")
    return (("--name", f"{node}-{number}{at}{host}") for number in range(1, count + 1))


if __name__ == "__main__":
    sys.exit(main())
