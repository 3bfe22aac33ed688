"""Measures what a job costs, beside a bare script with the SDK, taskiq, and Celery with threads.

All of them talk to the same fast server and the same kind of Redis, which writes each change to a file. The measured
process has a core of its own, where there are several. The exit code is 1 if a goal is missed by more than a tenth.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from measured import Measured, missed, parser_of, show
from rich.console import Console
from rich.table import Table
from speed import job_cases, space_cases
from speed.outcomes import Case, Figures
from speed.size import FULL, QUICK, Size

CASES: Mapping[str, Callable[[Size], Case]] = {
    "instant": job_cases.instant,
    "responses": job_cases.responses,
    "chat": job_cases.chat,
    "long": job_cases.long,
    "late": job_cases.late,
    "processes": job_cases.processes,
    "stored": space_cases.stored,
    "queued": space_cases.queued,
    "memory": space_cases.memory,
}
_PACKAGES = ("openai", "aiohttp", "httpx2", "uvloop", "redis", "celery", "taskiq", "taskiq-redis", "pydantic")


def main() -> int:
    parser = parser_of("scripts/bench speed", __doc__, CASES)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer jobs, once: six minutes on an idle machine")
    add("--queued", type=int, metavar="N", help="jobs that wait in Redis (default: 100,000; quick: 10,000)")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    given = parser.parse_args()
    load, size = os.getloadavg()[0], QUICK if given.quick else FULL
    if given.queued:
        size = replace(size, queued=given.queued)
    goals: list[Measured] = []
    figures: list[Figures] = []
    for name in given.only or CASES:
        sys.stderr.write(f"measuring {name}: {CASES[name].__doc__}\n")
        for each in CASES[name](size):
            if isinstance(each, Measured):
                goals.append(each)
            else:
                figures.append(each)
    (_print_json if given.json else _print_tables)(machine(load), goals, figures)
    return 1 if missed("speed", goals) else 0


def machine(load: float) -> str:
    """Returns what it was measured on, in a line. `load`: of the machine before; it slows down what is measured."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({cpu}), load {load:.1f} before, {system}"


def versions() -> dict[str, str]:
    """Returns the versions of the packages that matter, without those that are not installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _print_tables(on: str, goals: Sequence[Measured], figures: Sequence[Figures]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(on, ", ".join(f"{name} {each}" for name, each in versions().items()), sep="\n")
    show("Ratios and goals", goals)
    if not figures:
        return
    table = Table(
        title="Figures per job: CPU in ms; cores: what others left to them; late: from the end of a run to its answer",
        title_justify="left",
        padding=(0, 0, 0, 1),
    )
    names = ("runs", "by", "jobs/s", "worker", "Redis", "server", "producer", "cores", "calls", "late s", "p95 s")
    for column, name in enumerate(names):
        table.add_column(name, justify="left" if column < 2 else "right", no_wrap=column < 2)
    for each in figures:
        table.add_row(each.load, each.contestant, *(f"{value:.2f}" for value in asdict(each.outcome).values()))
    console.print(table)


def _print_json(on: str, goals: Sequence[Measured], figures: Sequence[Figures]) -> None:
    json.dump(
        {
            "machine": on,
            "versions": versions(),
            "goals": [{**asdict(each), "met": each.met} for each in goals],
            "figures": [asdict(each) for each in figures],
        },
        sys.stdout,
        indent=2,
    )


if __name__ == "__main__":
    sys.exit(main())
