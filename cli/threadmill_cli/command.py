"""The help and the error reports of all commands."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from threadmill.errors import NoEndpoint, StoreRefused, StoreUnavailable, ThreadmillError, WaitTimeout
from threadmill_cli.app import Exit, note
from threadmill_cli.later import Commands, Later


def examples(*lines: str) -> str:
    """Returns the epilog of a command: command lines to copy, one per line."""
    return "\n".join(["Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])


def message(error: ThreadmillError, command: str, has_local: bool) -> str:
    """Returns an error's text with the remedies that the command offers."""
    if isinstance(error, NoEndpoint):
        return f"{error.reason}{'. To try it without a server: --endpoint emulator --local' if has_local else ''}"
    if isinstance(error, StoreUnavailable) and not (isinstance(error, StoreRefused) or error.enqueued or error.unknown):
        own = "or use --local" if has_local else f"or, for jobs of --local: threadmill local -- {command}"
        return f"{error}, {own}"
    return str(error)


def complete(app: typer.Typer) -> None:
    """Applies the help and the error reports of this module to the commands of an app and of its groups."""
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            complete(group.typer_instance)


class _Reporting:
    """Omits the type of flags in the help, prints the epilog unchanged, and reports our errors in one line."""

    params: list[Any]

    def __init__(self, *args: Any, epilog: str | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._epilog = epilog

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_bool_flag", False):
                param.metavar = ""
        return params

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.replace("{", "").replace("}", "") for piece in pieces]  # JOB..., not {JOB}...

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)  # type: ignore[misc]
        if self._epilog:  # not wrapped and without markup, so that its lines can be copied
            formatter.write("\n".join(f" {line}" for line in self._epilog.splitlines()) + "\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.BadParameter as error:  # typer validates choices with pydantic, which begins its texts so
            error.message = error.message.removeprefix("Value error, ")
            raise
        return parsed

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except ThreadmillError as error:
            has_local = any(param.name == "local" for param in self.params)
            note(f"threadmill: {message(error, ctx.command_path, has_local)}")
            raise typer.Exit(Exit.NOT_IN_TIME if isinstance(error, WaitTimeout) else Exit.USAGE) from None


class _Command(_Reporting, TyperCommand):
    pass


class Group(_Reporting, TyperGroup):
    """A group of commands. Its name alone shows its help."""

    #: Its commands, if they are imported when they are called: for groups whose modules import much.
    later: ClassVar[Mapping[str, Later]] = {}

    def __init__(self, *, commands: Any = None, **settings: Any) -> None:
        super().__init__(commands=Commands(self.later, complete) if self.later else commands, **settings)

    def panel_of(self, name: str) -> str | None:
        """Returns the heading of a command in the help of the group."""
        return None

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a command, or what a list shows of it."""
        if isinstance(self.commands, Commands):
            return self.commands.listed(cmd_name, self.panel_of(cmd_name))
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name else listed, rest


class ShortGroup(Group):
    """A group with a command that `is_short` adds when its name was left out."""

    default: ClassVar[str]

    def is_short(self, args: Sequence[str]) -> bool:
        """Whether these arguments, of which the first is not `--help`, leave out the name of the default command."""
        raise NotImplementedError

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_help = bool(args) and args[0] in ctx.help_option_names
        is_completion_of_name = not args and ctx.resilient_parsing
        if not is_help and not is_completion_of_name and self.is_short(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):  # else no option of the default command matches
            found += self.commands[self.default].shell_complete(ctx, incomplete)
        return list(found)


class ListGroup(ShortGroup):
    """A group whose name is a plural: alone, or with options, it lists. `threadmill jobs` is `threadmill jobs list`."""

    default = "list"

    def is_short(self, args: Sequence[str]) -> bool:
        return not args or args[0].startswith("-")
