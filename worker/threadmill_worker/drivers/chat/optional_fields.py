"""The fields of a request that a job can do without, if its server refuses them. PURE.

Servers refuse by name: OpenAI in `param` ("Unsupported parameter: 'max_tokens' is not supported with this model"),
Mistral with 422 ("body.seed: Extra inputs are not permitted"), Google ('Unknown name "parallel_tool_calls": ...').
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from threadmill_worker.lifecycle.server_errors import ServerError

#: In place of one of these, the other is sent.
TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")

#: In this order, an error that names several is about the first. Without `stream`, the answer comes as a whole; without
#: `response_format`, it is described in words.
_FIELDS = (
    "stream_options",
    "parallel_tool_calls",
    "seed",
    "reasoning_effort",
    *TOKEN_LIMITS,
    "response_format",
    "stream",
)

#: Statuses of a request with a field that the server does not accept: 422 is FastAPI's, 501 means "not implemented".
REFUSING = frozenset({400, 422, 501})

#: Words of an error about a value, not about the field: "max_tokens is too large: 100000", "Invalid schema for
#: response_format 'a'".
_OF_A_VALUE = re.compile(
    r"too (?:large|small|long)|at (?:most|least)|(?:greater|less) than|maximum|out of range|invalid.{0,20}schema",
    re.IGNORECASE,
)


def refused_field(body: Mapping[str, Any], said: ServerError, left_out: Collection[str] = ()) -> str | None:
    """Returns the field of the request that the error is about, if the job can do without it.

    `left_out`: fields that the server refused before. The limit of the answer's tokens is never left out.
    """
    if said.status not in REFUSING or _OF_A_VALUE.search(said.message):
        return None
    named = (said.param or "").partition(".")[0]
    needed = TOKEN_LIMITS if not {*TOKEN_LIMITS}.isdisjoint(left_out) else ()
    sent = [field for field in _FIELDS if field in body and field not in needed]
    if named:
        return named if named in sent else None
    return next((field for field in sent if re.search(rf"\b{field}\b", said.message)), None)
