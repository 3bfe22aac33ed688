"""Validates values against JSON Schemas, in bounded time. PURE: no reference is ever fetched.

A schema of 30 lines can ask for a billion steps, by references or by patterns. Each validation has a budget.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from threadmill.job.json.patterns import cost, matches

#: Keywords that one validation may evaluate, about 10 µs each. Long lists, and long texts for large
#: patterns, count more.
STEPS = 200_000

#: The amount of `patterns.cost` that takes as long as one step.
_COST_PER_STEP = 5000

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class TooMuchWork(Exception):
    """The validation takes more than STEPS steps."""


class _Budget(threading.local):
    left = 0

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork(f"validation takes more than {STEPS} steps; simplify the schema")


_budget = _Budget()


def first_errors(schema: Any, value: Any, count: int) -> list[ValidationError]:
    """Returns the first errors of the value. Raises TooMuchWork, BadPattern, or Unresolvable for a broken reference."""
    _budget.left = STEPS
    return list(islice(_Validator(_in_one_dialect(schema), registry=Registry()).iter_errors(value), count))


def _in_one_dialect(schema: Any) -> Any:
    """Returns the schema without `$schema`, for which jsonschema would switch to a validator without a budget."""
    if isinstance(schema, dict):
        named = schema.items()
        return {key: _in_one_dialect(each) for key, each in named if key != "$schema" or not isinstance(each, str)}
    return [_in_one_dialect(each) for each in schema] if isinstance(schema, list) else schema


def _counted(keyword: Keyword) -> Keyword:
    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[ValidationError] | None:
        _budget.spend(1 + (_breadth(value) + _breadth(instance)) // 10)
        return keyword(validator, value, instance, schema)

    return run


def _breadth(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _is_match(pattern: str, text: str) -> bool:
    _budget.spend(cost(pattern, text) // _COST_PER_STEP)
    return matches(pattern, text)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _is_match(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if _is_match(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Applies the keyword to the properties that no pattern matches."""
    if isinstance(instance, dict) and (patterns := schema.get("patternProperties")):
        instance = {
            name: value for name, value in instance.items() if not any(_is_match(pattern, name) for pattern in patterns)
        }
        schema = {name: value for name, value in schema.items() if name != "patternProperties"}
    yield from Draft202012Validator.VALIDATORS["additionalProperties"](validator, additional, instance, schema)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Replaces the keyword of jsonschema, which compares each item with every other."""
    if unique and isinstance(instance, list) and len({_canonical(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _canonical(value: Any) -> str:
    """Returns the same text for equal values: 1 equals 1.0, but not true."""
    text = json.dumps(_integral(value), sort_keys=True)
    _budget.spend(len(text) // 100)
    return text


def _integral(value: Any) -> Any:
    match value:
        case dict():
            return {name: _integral(each) for name, each in value.items()}
        case list():
            return [_integral(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


_BOUNDED: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _counted(keyword) for name, keyword in {**Draft202012Validator.VALIDATORS, **_BOUNDED}.items()},
)
