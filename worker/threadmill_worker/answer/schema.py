"""Checks whether an answer is the JSON that `response_format` requires. PURE: references are never fetched."""

import json
import math
import re
from typing import Any

from jsonschema.exceptions import ValidationError, best_match
from pydantic import JsonValue
from referencing.exceptions import Unresolvable

from threadmill.job.json.schema import schema_problem
from threadmill_worker.answer.json_text import DEPTH_LIMIT, TooDeep, parse
from threadmill_worker.answer.validation import TooMuchWork, first_errors

#: The longest description of a problem, in characters. It is also sent to the model.
PROBLEM_LIMIT = 500

_SHOWN_ERRORS = 3
_BROKEN = "the schema of response_format is not valid"
_FENCED = re.compile(r"```(?:json)?(.*)```", re.DOTALL | re.IGNORECASE)


def check(text: str, response_format: object) -> tuple[JsonValue, str | None]:
    """Returns the answer as JSON, or a problem; (None, None) if the format does not require JSON."""
    schema = _schema_of(response_format)
    if schema is None:
        return None, None
    problem = schema_problem(schema)
    if problem:
        return None, _short(f"{_BROKEN}: {problem}")
    try:
        answer = _parsed(text)
    except TooDeep:
        return None, f"the answer nests more than {DEPTH_LIMIT} levels deep"
    except ValueError as error:
        return None, _short(f"the answer is not JSON: {error}")
    problem = _schema_error(answer, schema)
    return (None, problem) if problem else (answer, None)


def _schema_of(response_format: object) -> object:
    """Returns the required schema; None: no JSON is required."""
    match response_format:
        case {"type": "json_object"}:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": schema}} if schema is not None:
            return schema
        case {"type": "json_schema"}:  # a name alone: any JSON
            return {}
        case _:
            return None


def _parsed(text: str) -> JsonValue:
    """Returns the value. Raises ValueError for text that is not JSON, or has values that a result cannot store."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    answer: JsonValue = parse(fenced[1] if fenced else text, parse_constant=_no_number, parse_float=_finite)
    try:
        json.dumps(answer, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has a surrogate, half of a character") from None
    return answer


def _schema_error(answer: JsonValue, schema: Any) -> str | None:
    room = (PROBLEM_LIMIT - 80) // _SHOWN_ERRORS
    try:
        errors = first_errors(schema, answer, _SHOWN_ERRORS)
    except TooMuchWork as error:
        return f"the answer cannot be checked: {error}"
    except Unresolvable as error:
        reason = (
            f"it refers to {error.ref!r}, which it does not contain; put it under $defs: references are not fetched"
        )
        return _short(f"{_BROKEN}: {reason}")
    except RecursionError:
        return f"{_BROKEN}: its references are circular"
    except Exception as error:  # for example, a $ref to something that is not a schema
        return _short(f"{_BROKEN}: {type(error).__name__}: {error}")
    shown = "; ".join(_short(_described(best_match([error]) or error), room) for error in errors)
    return _short(f"the answer does not fit the schema: {shown}") if errors else None


def _described(error: ValidationError) -> str:
    return f"at {error.json_path}: {error.message}"


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def _no_number(digits: str) -> float:
    raise ValueError(f"{digits} is out of range")


def _short(text: str, limit: int = PROBLEM_LIMIT) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
