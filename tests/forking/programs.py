"""Programs of an environment that are forked: a folder of them for PATH, and the server that forks them."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]

_START_S = 120


def write_programs(folder: Path, programs: Path) -> None:
    """Writes the programs that are to be placed first on PATH. `programs`: the folder of the environment's own."""
    code = (ROOT / "tests" / "forking" / "client.py").read_text("utf-8")
    folder.mkdir()
    for name in ("threadmill", "celery", "python"):
        program = folder / name
        program.write_text(f"#!{programs / 'python'} -IS\n{code}", "utf-8")
        program.chmod(0o755)
    os.mkfifo(folder / "users")


def join_server(folder: Path, programs: Path) -> int:
    """Returns a file that keeps the server running while it is open. Starts the server if nobody has it open.

    Only one process may call it at a time.
    """
    users = folder / "users"
    with suppress(OSError):  # no server reads it
        return os.open(users, os.O_WRONLY | os.O_NONBLOCK)
    reading = os.open(users, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(users, os.O_WRONLY)
    (folder / "socket").unlink(missing_ok=True)
    with (folder / "log").open("w") as log:
        subprocess.run(
            [str(programs / "python"), "-m", "tests.forking.server", str(folder / "socket")],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            stdin=reading,
            stdout=log,
            stderr=log,
            check=True,
            timeout=_START_S,
        )
    os.close(reading)
    return writing
