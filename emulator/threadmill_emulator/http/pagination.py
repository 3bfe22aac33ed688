"""Pages of a list, as the query requests them."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.http.endpoint import Call

Item = TypeVar("Item")
Object = dict[str, Any]


class Query(BaseModel):
    limit: int = Field(20, ge=1, le=100)
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class FilesQuery(Query):
    limit: int = Field(10_000, ge=1, le=10_000)


def page(call: Call, items: Iterable[Item], show: Callable[[Item], Object], query: type[Query] = Query) -> Object:
    """Returns one page. `items`: oldest first."""
    wanted = parse(query, dict(call.query))
    ordered = list(items) if wanted.order == "asc" else list(items)[::-1]
    return cut([show(item) for item in ordered], wanted)


def cut(objects: list[Object], wanted: Query) -> Object:
    """Returns one page. `objects`: in the requested order."""
    start, stop = 0, len(objects)
    if wanted.after is not None:
        start = _place(objects, wanted.after, "after") + 1
    if wanted.before is not None:
        stop = _place(objects, wanted.before, "before")
    found = objects[start:stop]
    backwards = wanted.before is not None and wanted.after is None
    data = found[-wanted.limit :] if backwards else found[: wanted.limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > len(data),
    }


def _place(objects: list[Object], id: str, param: str) -> int:
    for number, candidate in enumerate(objects):
        if candidate["id"] == id:
            return number
    raise ApiError(400, f"Invalid '{param}': no object with id '{id}'.", param=param, code="invalid_value")
