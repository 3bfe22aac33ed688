"""Converts the first validation error of a request to the error of a public server."""

from copy import deepcopy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from threadmill_emulator.errors.api_error import ApiError, missing, unknown_parameter

Parsed = TypeVar("Parsed", bound=BaseModel)

GOT = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
}
#: pydantic's name of an exceeded limit -> the public servers' code and text.
LIMITS = {
    "string_too_long": (
        "string_above_max_length",
        "string too long. Expected a string with maximum length {max_length}, "
        "but got a string with length {length} instead.",
    ),
    "too_short": (
        "empty_array",
        "empty array. Expected an array with minimum length {min_length}, but got an empty array instead.",
    ),
    "too_long": (
        "array_above_max_length",
        "array too long. Expected an array with maximum length {max_length}, "
        "but got an array with length {length} instead.",
    ),
    "too_many": (
        "object_above_max_properties",
        "too many properties. Expected an object with at most {max_length} properties, "
        "but got an object with {length} properties instead.",
    ),
}


def parse(
    model: type[Parsed], value: object, context: dict[str, Any] | None = None, *, ignores_unknown: bool = False
) -> Parsed:
    """Raises ApiError for the first error. `ignores_unknown`: fields that the model does not have are removed first."""
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    unknown = [each["loc"] for each in errors if each["type"] == "extra_forbidden"]
    if unknown and ignores_unknown:
        return parse(model, _without(value, unknown), context, ignores_unknown=True)
    raise refusal(errors[0])


def _without(value: object, fields: list[tuple[int | str, ...]]) -> Any:
    """Returns a copy without these fields."""
    copy = deepcopy(value)
    for field in fields:
        holder: Any = copy
        *way, name = (part for part in field if not _is_tag(part))
        for part in way:
            holder = holder[part]
        del holder[name]
    return copy


def _is_tag(part: int | str) -> bool:
    return isinstance(part, str) and part.startswith("<")


def refusal(error: ErrorDetails) -> ApiError:
    kind, param = error["type"], path(error["loc"])
    if kind == "missing":
        return missing(param)
    if kind == "extra_forbidden":
        return unknown_parameter(param)
    if kind in WANTED:
        return _wrong_type(param, WANTED[kind], error["input"])
    if kind == "literal_error":
        names = error["ctx"]["expected"].replace(" or ", ", ").split(", ")
        return _wrong_value(param, error["input"], names)
    if kind == "union_tag_invalid":
        return _wrong_tag(param, error)
    if kind == "invalid_url":
        message = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
        return ApiError(400, message, param=param, code="invalid_value")
    if error["loc"][-1:] == ("[key]",):
        param = path(error["loc"][:-2])
    return _beyond_limit(param, error)


def path(loc: tuple[int | str, ...]) -> str:
    """('messages', 0, 'content', '<parts>', 1, 'text') -> messages[0].content[1].text"""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _is_tag(part):
            text += f".{part}" if text else part
    return text


def _wrong_type(param: str, wanted: str, value: object) -> ApiError:
    place = f" for '{param}'" if param else ""
    message = f"Invalid type{place}: expected {wanted}, but got {GOT.get(type(value), 'something else')} instead."
    return ApiError(400, message, param=param or None, code="invalid_type")


def _wrong_value(param: str, value: object, names: list[str]) -> ApiError:
    """Returns 'a', 'b', and 'c'."""
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])}, and {names[-1]}"
    message = f"Invalid value: '{value}'. Supported values are: {listed}."
    return ApiError(400, message, param=param, code="invalid_value")


def _wrong_tag(param: str, error: ErrorDetails) -> ApiError:
    if not isinstance(error["input"], dict):
        return _wrong_type(param, "an object", error["input"])
    field = "role" if "role" in error["ctx"]["discriminator"] else "type"
    if error["input"].get(field) is None:
        return missing(f"{param}.{field}")
    names = error["ctx"]["expected_tags"].replace("<", "").replace(">", "").split(", ")
    return _wrong_value(f"{param}.{field}", error["input"][field], names)


def _beyond_limit(param: str, error: ErrorDetails) -> ApiError:
    value, limits = error["input"], error.get("ctx", {})
    kind = "too_many" if error["type"] == "too_long" and isinstance(value, dict) else error["type"]
    code, text = LIMITS.get(kind, ("invalid_value", "{msg}."))
    facts = {
        **limits,
        "msg": error["msg"],
        "length": len(value) if isinstance(value, str | list | dict) else 0,
    }
    place = f" '{param}'" if param else " request"
    return ApiError(400, f"Invalid{place}: {text.format(**facts)}", param=param or None, code=code)
