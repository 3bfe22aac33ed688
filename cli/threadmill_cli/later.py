"""Commands that are imported when they are called: the imports of all would take most of a second at each start."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand


@dataclass(frozen=True)
class Later:
    """A command or group that is not imported yet."""

    module: str  #: in threadmill_cli.commands; its function `add_to` adds the command to an app
    line: str  #: the first paragraph of its help


class Commands(Mapping[str, Any]):
    """The commands of a group by name. Only access to a command imports it.

    `complete`: called with the app that a module has added its commands to.
    """

    def __init__(self, later: Mapping[str, Later], complete: Callable[[typer.Typer], None]) -> None:
        self._later = later
        self._complete = complete
        self._imported: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._later)

    def __len__(self) -> int:
        return len(self._later)

    def __contains__(self, name: object) -> bool:
        return name in self._later

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = self._import(name)
        return self._imported[name]

    def _import(self, name: str) -> Any:
        app = typer.Typer(rich_markup_mode="rich")
        import_module(f"threadmill_cli.commands.{self._later[name].module}").add_to(app)
        self._complete(app)
        return typer.main.get_group(app).commands[name]

    def listed(self, name: str, panel: str | None) -> Any:
        """Returns what the help of the group and completion show of a command; None if there is none."""
        if name not in self._later:
            return None
        return TyperCommand(name, help=self._later[name].line, rich_help_panel=panel)
