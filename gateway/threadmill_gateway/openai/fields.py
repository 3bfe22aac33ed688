"""Reads the fields of a request's JSON one by one, and refuses those that nobody has read. PURE.

`null` is the same as no field. Errors name the field by its path, such as `input[0].content`.
"""

from typing import Any

from threadmill_gateway.openai.errors import ApiError, invalid, missing, unsupported


class Fields:
    """The fields of one object. Raises ApiError if it is none, or if a field has another type."""

    def __init__(self, value: Any, path: str = "") -> None:
        if isinstance(value, bytes):
            raise invalid("body", "is no JSON: send it with Content-Type: application/json.")
        if not isinstance(value, dict):
            raise invalid(path or "body", f"is {_kind(value)}, and must be an object.")
        self._left = {name: each for name, each in value.items() if each is not None}
        self._path = path

    def path(self, name: str) -> str:
        """Returns the path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def any(self, name: str) -> Any:
        """Returns a field of any type; None: there is none."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        value = self.any(name)
        return None if value is None else self._checked(name, value, isinstance(value, str), "a string")

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise missing(self.path(name))
        return value

    def flag(self, name: str) -> bool | None:
        value = self.any(name)
        return None if value is None else self._checked(name, value, isinstance(value, bool), "true or false")

    def integer(self, name: str) -> int | None:
        value = self.any(name)
        fits = isinstance(value, int) and not isinstance(value, bool)
        return None if value is None else self._checked(name, value, fits, "an integer")

    def number(self, name: str) -> float | None:
        value = self.any(name)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return None if value is None else self._checked(name, value, fits, "a number")

    def word(self, name: str, *known: str) -> str | None:
        """Returns a text that must be one of these."""
        value = self.text(name)
        if value is not None and value not in known:
            raise invalid(self.path(name), f"is {value!r:.100}; supported values are {', '.join(known)}.")
        return value

    def objects(self, name: str) -> "list[Fields] | None":
        """Returns a list of objects."""
        value = self.any(name)
        if value is None:
            return None
        items: list[Any] = self._checked(name, value, isinstance(value, list), "a list")
        return [Fields(item, f"{self.path(name)}[{at}]") for at, item in enumerate(items)]

    def object(self, name: str) -> "Fields | None":
        value = self.any(name)
        return None if value is None else Fields(value, self.path(name))

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Returns an object as it is."""
        value = self.any(name)
        return None if value is None else self._checked(name, value, isinstance(value, dict), "an object")

    def only(self, name: str, *accepted: Any, remedy: str = "leave it out") -> None:
        """Reads a field that jobs do not have: only these values, which change nothing, are accepted."""
        value = self.any(name)
        if value is not None and not any(value == each and type(value) is type(each) for each in accepted):
            raise self.refusal(name, remedy)

    def refusal(self, name: str, remedy: str = "leave it out") -> ApiError:
        """Returns the error for a field that has no counterpart in a job."""
        return unsupported(self.path(name), f"is not supported here: {remedy}.")

    def rest(self) -> dict[str, Any]:
        """Returns all fields that were not read yet."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        """Refuses the fields that were not read."""
        for name in self._left:
            raise self.refusal(name)

    def _checked(self, name: str, value: Any, fits: bool, wanted: str) -> Any:
        if not fits:
            raise invalid(self.path(name), f"is {_kind(value)}, and must be {wanted}.")
        return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
