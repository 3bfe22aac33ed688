"""Someone who types what a page shows."""

import os
import pty
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from tests.acceptance.docs.bare import ROOT, Bare
from tests.acceptance.docs.commands import allowed_exit_codes, is_tried_elsewhere, ready_when_printing
from tests.acceptance.docs.markdown import Block, commands
from tests.acceptance.docs.placeholders import Placeholders
from tests.acceptance.docs.reader_files import write_files
from tests.acceptance.docs.services import Services

COMMAND_S = 120


class Reader:
    """Types in a folder with the files that pages speak of. The first command starts Python anew; others are forked."""

    def __init__(self, folder: Path, services: Services) -> None:
        self._folder = folder
        self._services = services
        self._meant = Placeholders(folder, services).replaced
        self._toml = folder / "threadmill.toml"
        self._has_typed = False
        write_files(folder)
        shutil.copytree(ROOT / "examples", folder / "examples")

    def reads(self, block: Block) -> None:
        """Does with a block what its page is for."""
        if block.file:
            self._writes(block.file, block.text)
        elif block.language == "toml":
            self._adds(block.text)
        elif block.language == "sh":
            for number, command in commands(block):
                self._types(command, number)
        elif block.language == "cron":
            for number, line in commands(block):
                self._types(line.split(maxsplit=5)[5].replace("cd /srv/operations && ", ""), number)

    def runs(self, python_blocks: list[Block]) -> None:
        """The Python of a page is one program."""
        self._services.begin_worker()
        program = self._folder / "page.py"
        program.write_text(self._meant("\n".join(block.text for block in python_blocks)))
        self._ends_well(f"python {program}", python_blocks[0].line)

    def _writes(self, name: str, text: str) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._meant(text))
        if file.suffix == ".toml":
            self._toml = file
        if name == "threadmill.toml":
            self._services.end_worker()

    def _adds(self, text: str) -> None:
        """TOML without a name belongs to the file named last, else to the settings."""
        with self._toml.open("a") as file:
            file.write(self._meant(text))
        self._services.end_worker()

    def _types(self, command: str, line: int) -> None:
        if is_tried_elsewhere(command):
            return
        if command.startswith("export "):
            words = shlex.split(self._meant(command), comments=True)[1:]
            self._services.environment |= dict(word.split("=", 1) for word in words)
            return
        self._services.begin_worker()
        command = self._meant(command)
        if command.startswith("redis-cli "):
            self._asks_redis(shlex.split(command)[1:], line)
        elif ready := ready_when_printing(command):
            child = self._services.run_on("documented", command, ready)
            child.signal(signal.SIGTERM)
            assert child.exit_code() == 0, child.log()
        else:
            self._ends_well(command, line)

    def _ends_well(self, command: str, line: int) -> None:
        """At a terminal, where the answer to each question is yes."""
        environment = self._services.environment if self._has_typed else self._services.unforked
        self._has_typed = True
        terminal, keyboard = pty.openpty()
        os.write(terminal, b"y\n")
        try:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self._folder,
                env={**os.environ, **environment},
                stdin=keyboard,
                capture_output=True,
                text=True,
                timeout=COMMAND_S,
                check=False,
            )
        finally:
            os.close(terminal)
            os.close(keyboard)
        said = f"line {line}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.returncode in allowed_exit_codes(command), said

    def _asks_redis(self, words: list[str], line: int) -> None:
        with redis.Redis.from_url(self._services.redis_url) as connection:
            assert connection.execute_command(*words), f"line {line}: {words}: there is no such key"


@contextmanager
def reader(folder: Path, bare: Bare) -> Iterator[Reader]:
    services = Services(folder, bare)
    try:
        yield Reader(folder, services)
    finally:
        services.close()
