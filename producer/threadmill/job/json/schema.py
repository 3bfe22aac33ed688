"""Validates JSON Schemas (draft 2020-12) before a job is enqueued. PURE."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any


def schema_problem(schema: object) -> str | None:
    """Returns why and where `schema` is not a valid JSON Schema; None if it is valid."""
    if not isinstance(schema, Mapping):
        return "it is not an object"
    return _problem(json.dumps(schema))


def response_format_problem(response_format: object) -> str | None:
    """Returns what is wrong with the schema in a `response_format`; None if it is valid or absent."""
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": schema}} if schema is not None:
            problem = schema_problem(schema)
            return problem and f"its schema is not a valid JSON Schema: {problem}"
    return None


def tools_problem(tools: Iterable[object]) -> str | None:
    """Returns what is wrong with the parameters of the first invalid tool; None if all are valid."""
    for tool in tools:
        match tool:
            case {"function": {"parameters": schema, **function}} if schema is not None:
                pass
            case {"type": "function", "parameters": schema, **function} if schema is not None:
                pass
            case _:
                continue
        if problem := schema_problem(schema):
            return f"the parameters of {function.get('name')!r} are not a valid JSON Schema: {problem}"
    return None


@lru_cache(maxsize=64)  # the jobs of a batch share one schema
def _problem(text: str) -> str | None:
    from jsonschema import Draft202012Validator, FormatChecker  # imports slowly, and few jobs have a schema
    from jsonschema.exceptions import SchemaError

    from threadmill.job.json.patterns import BadPattern, compiled

    formats = FormatChecker(formats=())
    formats.checks("regex", raises=BadPattern)(lambda value: not isinstance(value, str) or bool(compiled(value)))
    schema: dict[str, Any] = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema, format_checker=formats)
    except SchemaError as error:
        reason = error.context[0] if error.validator == "anyOf" and error.context else error  # its first alternative
        return f"at {error.json_path}: {reason.cause or reason.message}"
    except Exception as error:  # a schema nested too deeply
        return f"{type(error).__name__}: {error}"
    if {"unevaluatedProperties", "patternProperties"} <= set(_keys(schema)):
        return "unevaluatedProperties beside patternProperties is not supported; use additionalProperties"
    return None


def _keys(value: object) -> Iterator[str]:
    """Yields the keys of all objects in a value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _keys(each)
