"""Pools: the shares of servers that one set of limits applies to.

The name of a pool is `ENDPOINT/MODEL@VARIABLE`. `/MODEL` is left out if its models share their limits or the model is
unknown, and `@VARIABLE`, which names the variable with the key, if the endpoint has one key.
"""

from typing import NamedTuple, Self
from urllib.parse import quote, unquote


class Pool(NamedTuple):
    """The parts of a pool's name."""

    endpoint: str
    model: str | None  #: None: all models of the endpoint that have no pool of their own
    key: str | None  #: the variable with the key; None: the endpoint has at most one

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the parts of a name that `pool_name` returned."""
        rest, _, key = name.partition("@")
        endpoint, _, model = rest.partition("/")
        return cls(unquote(endpoint), unquote(model) or None, unquote(key) or None)


def pool_name(endpoint: str, model: str | None = None, key: str | None = None) -> str:
    """Returns the name of a pool. It has no space and no `|`, and its parts no `/` and no `@`."""
    return _quoted(endpoint) + (f"/{_quoted(model)}" if model else "") + (f"@{_quoted(key)}" if key else "")


def _quoted(part: str) -> str:
    return quote(part, safe="")
