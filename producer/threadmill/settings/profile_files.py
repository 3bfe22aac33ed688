"""Reads profiles from TOML and YAML files, with errors that name the line, and writes them."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tomli_w
import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from threadmill.errors import InvalidProfile
from threadmill.settings.profile import Profile, ProfileName

Form = Literal["toml", "yaml"]

#: Line numbers of a file's values, by their path; empty for TOML.
_Lines = dict[tuple[str | int, ...], int]

_FORMS: dict[str, Form] = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
_PROFILES = TypeAdapter(dict[ProfileName, Profile])


class _Content(NamedTuple):
    data: Any
    lines: _Lines


class _Twice(ValueError):
    """Refuses duplicate keys, of which YAML silently uses the last."""


def form_of(file: Path) -> Form:
    """Raises InvalidProfile."""
    if file.suffix not in _FORMS:
        raise InvalidProfile(f"{file}: the name of a profile's file must end in .toml, .yaml or .yml")
    return _FORMS[file.suffix]


def read_profiles(file: Path) -> dict[str, Profile]:
    """Returns the profiles of a file by name; a profile at the top level has the file's name. Raises InvalidProfile."""
    data, lines = _load(file)
    if not isinstance(data, dict) or not data:
        raise InvalidProfile(f"{file}: it holds no profile; a profile needs at least `model`")
    if "profiles" not in data:
        entries, above = {file.stem: data}, None
    else:
        entries, above = data["profiles"], "profiles"
        if others := ", ".join(f"`{name}`" for name in data if name != "profiles"):
            raise InvalidProfile(
                f"{file}: it holds {others} besides `profiles`; move the profiles to a file of their own"
            )
    try:
        return _PROFILES.validate_python(entries)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise InvalidProfile(f"{file}{'; '.join(_explain(each, above, lines) for each in problems)}") from None


def dump_profile(profile: Profile, form: Form) -> str:
    """Returns the text of a profile file. Raises InvalidProfile for a value that TOML cannot express."""
    fields = profile.model_dump(mode="json", exclude_defaults=True)
    if form == "yaml":
        readable = yaml.dump(fields, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)
        return readable if yaml.safe_load(readable) == fields else yaml.safe_dump(fields, sort_keys=False)
    if name := next((name for name, value in fields.items() if _has_null(value)), None):
        raise InvalidProfile(f"`{name}` is null, which TOML cannot express: use YAML")
    readable = tomli_w.dumps(fields, multiline_strings=True)
    return readable if tomllib.loads(readable) == fields else tomli_w.dumps(fields)


class _Dumper(yaml.SafeDumper):
    """Writes a text with several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.text)


def _load(file: Path) -> _Content:
    form = form_of(file)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidProfile(f"{file}: there is no such file; correct the path") from None
    except (OSError, ValueError) as error:
        raise InvalidProfile(f"{file}: cannot be read: {error}") from None
    try:
        if form == "toml":
            return _Content(tomllib.loads(text), {})
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(tree, (), set())) if tree else {}
        return _Content(yaml.safe_load(text), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidProfile(f"{file}{line}: this is not YAML: {error.problem or error.context}") from None
    except _Twice as error:
        raise InvalidProfile(f"{file}, {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidProfile(f"{file}: this is not {form.upper()}: {reason}") from None


def _lines(node: yaml.Node, path: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[Any, int]]:
    """Visits each node once, because aliases may repeat or contain each other."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index), seen)
    if isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    raise _Twice(f"line {line}: `{key.value}` appears twice; remove one")
                names.add(key.value)
                yield (*path, key.value), line
                yield from _lines(value, (*path, key.value), seen)


def _explain(problem: ErrorDetails, above: str | None, lines: _Lines) -> str:
    """Describes a problem: the line, if known, the field, what is wrong and what is allowed."""
    loc = problem["loc"]
    steps = loc[1:] if above is None else (above, *loc)
    near = next((steps[:length] for length in range(len(steps), 0, -1) if steps[:length] in lines), ())
    line = f", line {lines[near]}" if near else ""
    where = ".".join(map(str, steps))
    if loc[-1:] == ("[key]",):
        said = f"{loc[0]!r} is not a profile name: use letters, digits and . _ - @ +"
    elif problem["type"] == "extra_forbidden":
        said = f"unknown field `{where}`; a profile has {', '.join(Profile.model_fields)}"
    elif problem["type"] == "missing":
        said = f"`{where}` is missing; add it"
    elif problem["type"] == "string_type" and isinstance(problem["input"], int | float):
        said = f"`{where}` should be a text: put {problem['input']} in quotes"
    else:
        said = f"`{where or 'profile'}`: {problem['msg'].removeprefix('Value error, ')}"
    return f"{line}: {said}"


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None
