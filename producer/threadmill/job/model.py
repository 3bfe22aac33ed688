"""What the models share: those of values from outside refuse unknown fields, those of our own values keep them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from threadmill.secrets.redaction import redact

#: A text that holds no secret of this process.
Redacted = Annotated[str, AfterValidator(redact)]

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


class Stored(BaseModel):
    """A value that a version of threadmill wrote. Unknown fields, a newer version's, are kept and written again.

    New fields stand at the end and have a default.
    """

    model_config = ConfigDict(frozen=True, extra="allow")


def explain(error: ValidationError) -> str:
    """A validation error as one readable line; what concerns no single field stands alone."""
    phrases = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(step) for step in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            phrases.append(f"unknown field `{where}`")
        else:
            phrases.append(f"`{where}`: {reason}" if where else reason)
    return "; ".join(phrases)
