"""Generates a value that fits a JSON schema, from the words of a prompt."""

import re
from typing import Any

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Schema = dict[str, Any]


def fitting(schema: Schema, text: str, root: Schema | None = None) -> Any:
    """Returns a value. Strings are the prompt's words, numbers come from the prompt, objects and lists contain both."""
    root = schema if root is None else root
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        named = [choice for choice in schema["enum"] if isinstance(choice, str) and choice and choice in text]
        return (named or schema["enum"])[0]
    match _type(schema):
        case "object":
            properties = schema.get("properties", {})
            return {name: fitting(part, text, root) for name, part in properties.items()}
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [fitting(schema.get("items", {"type": "string"}), text, root)] * count
        case "integer" | "number" as kind:
            return _number(schema, text, kind)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, text)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follows `#/$defs/...` and takes the first alternative that is not null."""
    if reference := schema.get("$ref"):
        for part in reference.removeprefix("#/").split("/"):
            root = root.get(part, {})
        return root
    for choice in ("anyOf", "oneOf", "allOf"):
        if alternatives := schema.get(choice):
            return next((part for part in alternatives if part.get("type") != "null"), alternatives[0])
    return schema


def _type(schema: Schema) -> str:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    return str(kind)


def _number(schema: Schema, text: str, kind: str) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    found = NUMBER.search(text)
    value = float(found[0]) if found else float(1 if low is None else low)
    if low is not None:
        value = max(value, low)
    if high is not None:
        value = min(value, high)
    return int(value) if kind == "integer" else value


def _string(schema: Schema, text: str) -> str:
    line = " ".join(text.split()) or "text"
    return line[: schema.get("maxLength", 200)].ljust(schema.get("minLength", 0), ".")
