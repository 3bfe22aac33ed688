"""Writes a profile as a TOML file."""

import tomllib
from typing import Any

import tomli_w

from threadmill.errors import InvalidProfile
from threadmill.settings.profile import Profile

#: Fields with a JSON Schema, in which null has a meaning.
_SCHEMAS = ("parameters", "schema")


def as_toml(profile: Profile) -> str:
    """Returns the text of a profile file.

    Fields that are null are left out, because the server treats them alike. Raises InvalidProfile for a null in a list
    or a JSON Schema, which TOML cannot express.
    """
    fields = _without_nulls(profile.model_dump(mode="json", exclude_defaults=True))
    if name := next((name for name, value in fields.items() if _has_null(value)), None):
        raise InvalidProfile(f"`{name}` has a null, which TOML cannot express; to see it: --json")
    readable = tomli_w.dumps(fields, multiline_strings=True)
    return readable if tomllib.loads(readable) == fields else tomli_w.dumps(fields)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        present = {name: each for name, each in value.items() if each is not None}
        return {name: each if name in _SCHEMAS else _without_nulls(each) for name, each in present.items()}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None
