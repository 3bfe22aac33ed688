"""`threadmill config`: shows the settings in effect and their origins."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from threadmill.errors import without_password
from threadmill.settings.config_file import find_config
from threadmill.settings.endpoints.built_in import BASE_URL_VARIABLES
from threadmill.settings.origins import variable_of
from threadmill.settings.settings import Settings
from threadmill_cli.app import AsJson, write_json, write_line
from threadmill_cli.command import Group, examples

#: Column of the comments, and length of the longest value shown.
_COLUMN = 44
_LONGEST = 160

_HIDDEN = "***"


@dataclass(frozen=True)
class Setting:
    """One setting. `origin`: a variable, the settings file or a default."""

    name: str
    value: Any  #: as JSON, with secrets redacted
    origin: str


def add_to(app: typer.Typer) -> None:
    config = typer.Typer(
        cls=Group, no_args_is_help=True, help="Show the settings.", epilog=examples("threadmill config show")
    )
    config.command(
        epilog=examples(
            "threadmill config show",
            "threadmill config show --all",
            "threadmill config show --json",
        )
    )(show)
    app.add_typer(config, name="config")


def show(
    everything: Annotated[
        bool, typer.Option("--all", help="Also show the defaults of endpoints, profiles and tools.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the settings in effect, and where each came from. Secrets are not shown."""
    settings, file = Settings.load(), find_config()
    found = list(_settings(settings, file, everything or as_json))
    variables = {name: bool(os.environ.get(name)) for name in sorted(settings.secret_variables)}
    if as_json:
        write_json({"file": file and str(file), "settings": [asdict(each) for each in found], "variables": variables})
        return
    write_line(f"# settings file: {file or 'none'}")
    for each in found:
        write_line(f"{each.name} = {_text(each.value)}".ljust(_COLUMN) + f"  # {_short(each.origin, file)}")
    for name, is_set in variables.items():
        write_line(f"# {name}: {'set' if is_set else 'not set'}")


def _settings(settings: Settings, file: Path | None, everything: bool) -> Iterator[Setting]:
    in_file = tomllib.loads(file.read_text("utf-8-sig")) if file else {}
    leaves = sorted(_leaves(settings.model_dump(mode="json")), key=lambda leaf: len(leaf[0]) > 1)  # tables last
    for path, value in leaves:
        if everything or len(path) < 3 or _is_given(settings, path):
            yield Setting(".".join(path), _shown(path, value), _origin(settings, path, in_file, file))


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields paths and values, down to the fields of an endpoint, of its tables, a profile or a tool."""
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict) and (len(path) < 3 or name in ("supports", "limits")) and (value or not above):
            yield from _leaves(value, path)
        else:
            yield path, value


def _is_given(settings: Settings, path: tuple[str, ...]) -> bool:
    """Whether the settings, or the defaults of an endpoint's kind, set this field of a table."""
    table: Any = settings
    for step in path[:-1]:
        table = table[step] if isinstance(table, dict) else getattr(table, step)
    return path[-1] in table.model_fields_set


def _origin(settings: Settings, path: tuple[str, ...], in_file: Mapping[str, Any], file: Path | None) -> str:
    variable = variable_of(path, os.environ)
    if variable is not None:
        return variable
    if _has(in_file, path):
        return str(file)
    if path[0] == "endpoints":
        name, field = path[1], path[-1]
        if field == "base_url" and os.environ.get(BASE_URL_VARIABLES.get(name, "")):
            return BASE_URL_VARIABLES[name]
        if field != "kind" and _is_given(settings, path):
            return f"default of kind {settings.endpoints[name].kind}"
    return "default"


def _has(table: Any, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(table, Mapping):
            return step == "function"  # NAME = "module:function" is its short form
        if step not in table:
            return False
        table = table[step]
    return True


def _shown(path: tuple[str, ...], value: Any) -> Any:
    """Hides what may be secret: passwords and queries in URLs, headers, arguments of a command."""
    field = path[-1]
    if field == "headers":
        return dict.fromkeys(value, _HIDDEN)
    if field == "command" and value:
        return [value[0], *(_HIDDEN for _ in value[1:])]
    if isinstance(value, str) and re.fullmatch(r"[\w+.-]+://\S*", value):
        return without_password(value)
    return value


def _text(value: Any) -> str:
    """Formats a value as TOML, on one line."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "(not set)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _short(origin: str, file: Path | None) -> str:
    return file.name if file is not None and origin == str(file) else origin
