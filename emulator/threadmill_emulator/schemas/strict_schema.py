"""The rules of `"strict": true` for a JSON schema: objects list all their properties and require each."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def not_strict(schema: Schema) -> str | None:
    """Returns the first violation, in OpenAI's words."""
    for path, part in _parts(schema, ()):
        where = f"In context={path}"
        if part.get("type") != "object" and "properties" not in part:
            continue
        if part.get("additionalProperties") is not False:
            return f"{where}, 'additionalProperties' is required to be supplied and to be false."
        for name in part.get("properties", {}):
            if name not in part.get("required", []):
                return (
                    f"{where}, 'required' is required to be supplied and to be an array including every key in "
                    f"properties. Missing '{name}'."
                )
    return None


def _parts(schema: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key in ("properties", "$defs", "definitions"):
        for name, part in schema.get(key, {}).items():
            yield from _parts(part, (*path, key, name))
    yield from _parts(schema.get("items"), (*path, "items"))
    for key in ("anyOf", "oneOf", "allOf"):
        for number, part in enumerate(schema.get(key, [])):
            yield from _parts(part, (*path, key, str(number)))
