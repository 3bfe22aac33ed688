"""A bare environment: threadmill installed as a user installs it, without the development tools."""

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.forking.programs import join_server, write_programs

ROOT = Path(__file__).parents[3]
EXTRAS = "worker,emulator,gateway,local,documents,parquet,mcp,metrics,otel"

_INSTALL_S = 600


@dataclass(frozen=True)
class Bare:
    """Folders of the programs of the environment."""

    programs: Path
    forked: Path  #: the same programs, but forked


@contextmanager
def bare_environment(folder: Path) -> Iterator[Bare]:
    """The environment in a folder. It is built once, also for tests that run side by side."""
    bare = Bare(folder / "bare" / "bin", folder / "forked")
    with (folder / "bare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not bare.forked.exists():
            _install(bare.programs)
            write_programs(bare.forked, bare.programs)
        joined = join_server(bare.forked, bare.programs)
    yield bare
    os.close(joined)


def _install(programs: Path) -> None:
    venv.create(programs.parent)
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
    options = ["--python", str(programs / "python"), "--constraint", "constraints.txt", f".[{EXTRAS}]"]
    subprocess.run([*uv, *options], cwd=ROOT, check=True, timeout=_INSTALL_S)
