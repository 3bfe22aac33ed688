"""Reads profiles from TOML files, with errors that name the field."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from threadmill.errors import InvalidProfile
from threadmill.settings.profile import Profile, ProfileName

_PROFILES = TypeAdapter(dict[ProfileName, Profile])


def check_name(file: Path) -> None:
    """Raises InvalidProfile unless the name of the file ends in .toml."""
    if file.suffix in (".yaml", ".yml"):
        raise InvalidProfile(f"{file}: profiles are TOML files; convert it to {file.with_suffix('.toml').name}")
    if file.suffix != ".toml":
        raise InvalidProfile(f"{file}: the name of a profile's file must end in .toml")


def read_profiles(file: Path) -> dict[str, Profile]:
    """Returns the profiles of a file by name; a profile at the top level has the file's name. Raises InvalidProfile."""
    check_name(file)
    data = _load(file)
    if not data:
        raise InvalidProfile(f"{file}: it holds no profile; a profile needs at least `model`")
    entries = data.get("profiles", {file.stem: data})
    others = ", ".join(f"`{name}`" for name in data if name != "profiles")
    if "profiles" in data and others:
        raise InvalidProfile(f"{file}: it holds {others} besides `profiles`; move the profiles to a file of their own")
    try:
        return _PROFILES.validate_python(entries)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        reasons = "; ".join(_explain(each, "profiles" in data) for each in problems)
        raise InvalidProfile(f"{file}: {reasons}") from None


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InvalidProfile(f"{file}: there is no such file; correct the path") from None
    except OSError as error:
        raise InvalidProfile(f"{file}: cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidProfile(f"{file}: this is not TOML: {' '.join(str(error).split())}") from None


def _explain(problem: ErrorDetails, has_several: bool) -> str:
    """Describes a problem: the field, what is wrong and what is allowed."""
    loc = problem["loc"]
    where = ".".join(map(str, ("profiles", *loc) if has_several else loc[1:]))
    if loc[-1:] == ("[key]",):
        return f"{loc[0]!r} is not a profile name: use letters, digits and . _ - @ +"
    if problem["type"] == "extra_forbidden":
        return f"unknown field `{where}`; a profile has {', '.join(Profile.model_fields)}"
    if problem["type"] == "missing":
        return f"`{where}` is missing; add it"
    if problem["type"] == "string_type" and isinstance(problem["input"], int | float):
        return f"`{where}` should be a text: put {problem['input']} in quotes"
    return f"`{where or 'profile'}`: {problem['msg'].removeprefix('Value error, ')}"
