"""Measures whether threadmill stays fast, and Redis free, with very many jobs: a million by default.

The jobs are ended through the store of a worker, without a server and without Celery, so that half a million take
minutes. All else is real: a Redis that writes each change to a file, sweeps, heartbeats, and the calls of a client.
Each command of Redis above 1 ms is recorded, by the clock, and each script above 1 ms of CPU with the number of its
commands. The exit code is 1 if a goal is missed by more than a tenth.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import redis
import structlog
from bench_speed import machine
from measured import Measured, missed, show
from million.scripts_measured import metered_scripts
from million.slow_commands import LOG_ABOVE_MS, SlowCommand, SlowCommands, above, slowest
from million.steps import STEPS, Trial
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from servers.own_redis import own_redis

from threadmill import Client, Settings

_EXAMPLE = (
    "example: scripts/bench million --jobs 100000     two minutes; a million take half an hour, and 8 GB of memory"
)
_LONGEST_MS = 10
_ABOVE_MS = (LOG_ABOVE_MS, _LONGEST_MS)
_SHARE = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench million",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=1_000_000, metavar="N", help="default: 1,000,000; at least 1,000")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    given = parser.parse_args()
    if given.jobs < 1_000:
        parser.error("--jobs: give at least 1,000")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as name,
        own_redis(Path(name), durable=True) as port,
        metered_scripts(),
    ):
        values, slow = _measure(port, given.jobs)
    (_print_json if given.json else _print_tables)(machine(load), values, slow)
    return 1 if missed("million", values) else 0


def _measure(port: int, jobs: int) -> tuple[list[Measured], SlowCommands]:
    os.environ |= {"THREADMILL_REDIS_URL": f"redis://127.0.0.1:{port}/0", "THREADMILL_DEFAULT_ENDPOINT": "emulator"}
    settings = Settings.load()
    connection = redis.Redis(port=port)
    with suppress(PermissionError, AttributeError):  # then other processes of a busy machine make its commands longer
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(connection.info("server")["process_id"], policy, os.sched_param(1))
    slow, values = SlowCommands(connection, settings.queue), list[Measured]()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    trial = Trial(settings, Client(settings), connection, jobs, min(jobs // 10, _SHARE))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        for step in STEPS:
            trial.progress = partial(_show_progress, shown, shown.add_task(step.__name__, total=None))
            values += step(trial)
            slow.collect(step.__name__)
    values += [
        Measured("most commands of a script", max(slow.most_commands.values())),
        Measured(f"scripts above {_LONGEST_MS} ms of CPU", above(slow.scripts, _LONGEST_MS), at_most=0),
        Measured("longest script of Redis, CPU", _longest_ms(slow.scripts), "ms", at_most=_LONGEST_MS),
        Measured(f"commands above {_LONGEST_MS} ms by the clock", above(slow.found, _LONGEST_MS)),
        Measured("longest command of Redis, by the clock", _longest_ms(slow.found), "ms"),
        Measured("of those that take microseconds", slow.disturbed_ms(), "ms"),
    ]
    return values, slow


def _longest_ms(found: Sequence[SlowCommand]) -> float:
    return max((each.ms for each in found), default=0)


def _show_progress(shown: Progress, task: TaskID, done: int, total: int) -> None:
    shown.update(task, completed=done, total=total)


def _print_tables(on: str, values: Sequence[Measured], slow: SlowCommands) -> None:
    console = Console()
    console.print(on)
    show("Very many jobs", values)
    for what, found in {
        "Scripts of Redis, by CPU": slow.scripts,
        "Commands of Redis, by the clock": slow.found,
    }.items():
        table = Table(title=f"{what}: the ten slowest", title_justify="left")
        for column in ("script or command", "in step", "longest, ms", *(f"above {ms} ms" for ms in _ABOVE_MS)):
            table.add_column(column, justify="left" if column in ("script or command", "in step") else "right")
        table.add_column("commands at most", justify="right")
        for each in slowest(found, 10):
            counts = [above(found, ms, each.name) for ms in _ABOVE_MS]
            most = slow.most_commands.get(each.name, "")
            table.add_row(each.name, each.step, f"{each.ms:.1f}", *map(str, [*counts, most]))
        console.print(table)
    for each in slow.events:
        console.print(f"LATENCY: {each.name} in {each.step}: {each.ms:g} ms at most")


def _print_json(on: str, values: Sequence[Measured], slow: SlowCommands) -> None:
    report = {
        "machine": on,
        "values": [{**asdict(each), "met": each.met} for each in values],
        "slowest_by_cpu": [asdict(each) for each in slowest(slow.scripts, 10)],
        "slowest_by_clock": [asdict(each) for each in slowest(slow.found, 10)],
        "most_commands": slow.most_commands,
        "latency": [asdict(each) for each in slow.events],
    }
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    sys.exit(main())
