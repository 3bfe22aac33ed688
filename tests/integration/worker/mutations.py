"""Damage, for property tests: what a byte, a field or a type may become."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

#: Values that stand where another was.
_STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "0", "-1", "nan", "queued", "../x", "a:b", "\ud800", "\x1b[2J", 10**400, 1e308, [], {}]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


@st.composite
def mutated(draw: st.DrawFn, sound: bytes) -> bytes:
    """A text with some of its bytes changed, one in JSON with some of its fields or types; a body in it too."""
    kind = draw(st.sampled_from(["bytes", "cut", "values", "values", "inner", "deep", "any"]))
    if kind == "any":
        return draw(st.binary(max_size=200))
    if kind == "cut":
        return sound[: draw(st.integers(0, len(sound)))]
    if kind == "bytes":
        at = draw(st.integers(0, len(sound)))
        return sound[:at] + draw(st.binary(max_size=3)) + sound[at + draw(st.integers(0, 3)) :]
    if kind == "deep":
        depth = draw(st.sampled_from([10, 2000, 100_000]))
        return draw(st.sampled_from([b"[", b'{"a":'])) * depth
    try:
        value = json.loads(sound)
    except ValueError:
        return str(draw(_STRANGE)).encode("utf-8", "surrogatepass")
    if kind == "inner" and isinstance(value, dict) and "body" in value:
        body = base64.b64decode(value["body"])
        value["body"] = base64.b64encode(draw(mutated(body))).decode()
        return json.dumps(value).encode()
    for _ in range(draw(st.integers(1, 3))):
        value = draw(changed(value))
    return json.dumps(value).encode()


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one place in it changed or left out."""
    places = list(_places(value))
    if not places:
        return draw(_STRANGE)
    container, key = draw(st.sampled_from(places))
    if draw(st.booleans()) and isinstance(container, dict):
        del container[key]
    else:
        container[key] = draw(_STRANGE)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)
