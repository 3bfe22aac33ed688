"""Writes the settings of an endpoint from what was found out about its server, and compares them. PURE."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from threadmill.names import printable
from threadmill.settings.endpoints.endpoint import Endpoint, EndpointKind
from threadmill.settings.endpoints.supports import Supports
from threadmill_worker.admin.discovery.findings import Discovery, Finding

#: Column of the comments.
_COLUMN = 40

#: How many models a comment names.
_SHOWN_MODELS = 5

_DAVINCI = "://prod.dvcbot.net"

#: Fields of the table `supports` that say something about one API alone.
_ONLY = {
    "responses": frozenset({"background", "stored_responses", "list_responses"}),
    "assistants": frozenset({"create_and_run"}),
    "chat": frozenset({"json_schema", "max_completion_tokens", "stream_usage"}),
}


def settings_lines(found: Discovery, name: str, variable: str | None) -> str:
    """Returns the table of the endpoint, in TOML: what differs from the defaults of its kind.

    `variable`: the one that holds the key; None: the server needs none.
    """
    kind = kind_of(found)
    default = Endpoint(kind=kind, base_url=found.base_url)
    lines = [f"[endpoints.{_key(name)}]", *_fields(found, kind, variable)]
    changed = {field: each for field, each in _of_wire(found) if each.has != getattr(default.supports, field)}
    if changed:
        lines += ["", f"[endpoints.{_key(name)}.supports]"]
        lines += [_line(field, _bool(each), each.how) for field, each in changed.items()]
    return "\n".join(lines) + "\n"


class Difference(NamedTuple):
    """A setting that does not fit the server. `text`: what was found out, and the line to set."""

    text: str
    is_lacking: bool  #: the server lacks what the settings have; otherwise it offers what they do not use


def differences(found: Discovery, name: str, endpoint: Endpoint) -> list[Difference]:
    """Returns how the settings of an endpoint differ from what its server offers."""
    return [
        Difference(
            f"{each.meaning}: {'offered, but not used' if each.has else 'not offered'} ({each.how}); "
            f"set {field} = {_bool(each)} in [endpoints.{_key(name)}.supports]",
            is_lacking=not each.has,
        )
        for field, each in _of_wire(found)
        if each.has != getattr(endpoint.supports, field)
    ]


def kind_of(found: Discovery) -> EndpointKind:
    if found.wire == "assistants":
        return EndpointKind.DAVINCI if _DAVINCI in found.base_url else EndpointKind.ASSISTANTS
    return EndpointKind(found.wire)


def _of_wire(found: Discovery) -> Iterator[tuple[str, Finding]]:
    foreign = frozenset[str]().union(*(fields for wire, fields in _ONLY.items() if wire != found.wire))
    supports = found.supports
    yield from ((field, supports[field]) for field in Supports.model_fields if field in supports.keys() - foreign)


def _fields(found: Discovery, kind: EndpointKind, variable: str | None) -> Iterator[str]:
    shown = found.of(found.wire)
    others = [wire for wire in found.wires if wire != found.wire]
    also = f"; it also speaks {' and '.join(others)}" if others else ""
    yield _line("kind", _text(kind.value), f"{shown.how}{also}" if shown else "not checked")
    of_kind = Endpoint.model_validate({"kind": kind, "base_url": found.base_url})
    if _default_url(kind) != found.base_url:
        yield _line("base_url", _text(found.base_url))
    if variable != of_kind.api_key_env:
        yield _line("api_key_env", _text(variable or ""), "the variable's name" if variable else "it needs no key")
    if found.wire == "assistants":
        yield _line('# assistant = "asst_..."', None, "for jobs that name none")
        return
    among = f"one of {len(found.models)}: " if len(found.models) > 1 else ""
    models = ", ".join(found.models[:_SHOWN_MODELS]) + (", ..." if len(found.models) > _SHOWN_MODELS else "")
    if found.model:
        yield _line("model", _text(found.model), f"for jobs that name none; {among}{models}" if among else "")
    else:
        yield _line('# model = "..."', None, f"for jobs that name none; {among}{models}".rstrip("; "))


def _default_url(kind: EndpointKind) -> str | None:
    """Returns the base URL that an endpoint of this kind has without a setting."""
    try:
        return Endpoint.model_validate({"kind": kind}).base_url
    except ValueError:
        return None


def _line(name: str, value: str | None, comment: str = "") -> str:
    line = name if value is None else f"{name} = {value}"
    comment = " ".join(printable(comment).split())
    return f"{line.ljust(_COLUMN - 1)} # {comment}" if comment else line


def _key(name: str) -> str:
    """Returns the name of a table as TOML writes it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """Returns a text as a TOML string. TOML escapes as JSON does, but for DEL and the halves of surrogates."""
    return json.dumps(printable(value), ensure_ascii=False)


def _bool(found: Finding) -> str:
    return "true" if found.has else "false"
