"""What all models at the border share: frozen, strict about unknown fields, and readable in their errors."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Border(BaseModel):
    """A value from outside: an unknown field is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def explain(error: ValidationError) -> str:
    """A validation error as one readable line per field."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in problem["loc"]) or "job"
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown field `{where}`")
        else:
            lines.append(f"`{where}`: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
