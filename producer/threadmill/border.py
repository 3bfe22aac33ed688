"""What all models at the border share: frozen, strict about unknown fields, and readable in their errors."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

#: The server's 16 metadata pairs less the one threadmill adds to find what it made.
METADATA_PAIRS = 15

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=METADATA_PAIRS),
]


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
