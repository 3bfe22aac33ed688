"""Base classes of the models: input from users refuses unknown fields, stored values keep them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from threadmill.secrets.redaction import redact

#: Text in which the secrets of this process are redacted.
Redacted = Annotated[str, AfterValidator(redact)]

#: The server allows 16 metadata pairs; threadmill uses one for its tag.
METADATA_PAIRS = 15

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=METADATA_PAIRS),
]

#: Seconds, a year at most. Nobody means more, and a sum of it and a date could be no date.
Duration = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]


def _in_each_zone(moment: datetime) -> datetime:
    """Refuses what has no date in some time zone."""
    if not 1970 <= moment.year <= 9998:
        raise ValueError("is not a time between the years 1970 and 9998")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_each_zone)]


class InputModel(BaseModel):
    """A value from a user. An unknown field is an error, which names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredModel(BaseModel):
    """A value that some version of threadmill wrote. Fields of a newer version are kept and written again.

    Add new fields at the end, with a default.
    """

    model_config = ConfigDict(frozen=True, extra="allow")


def explain(error: ValidationError, suggest: Callable[[tuple[int | str, ...]], str] = lambda path: "") -> str:
    """Returns a validation error as one readable line. `suggest`: returns a text to add to an unknown field."""
    phrases = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(step) for step in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            phrases.append(f"unknown field `{where}`{suggest(problem['loc'])}")
        else:
            phrases.append(f"`{where}`: {reason}" if where else reason)
    return "; ".join(phrases)
