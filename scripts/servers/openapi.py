"""OpenAI's own description of its API, as a server in front of the emulator that refuses what it does not admit.

The document is https://github.com/openai/openai-openapi, openapi.json. It is not part of threadmill.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema

from servers import backends
from servers.backends import KEEP_ALIVE_S, Backend
from servers.kind import Kind, Running
from servers.recorder import Recorder
from threadmill.errors import ThreadmillError
from threadmill_emulator.testing import serving

#: The variable with the path of the document.
VARIABLE = "OPENAPI_DOCUMENT"
_REQUEST, _REPLY = "CreateChatCompletionRequest", "CreateChatCompletionResponse"
_REF = "#/components/schemas/"


class NoDocument(ThreadmillError):
    """The document was not given."""


def document() -> dict[str, Any]:
    path = os.environ.get(VARIABLE)
    if not path:
        raise NoDocument("`--openapi` names no openapi.json of the repository openai/openai-openapi")
    return dict(json.loads(Path(path).read_text("utf-8")))


def validator(described: Mapping[str, Any], name: str, *, closed: bool = False) -> jsonschema.protocols.Validator:
    """Returns what validates objects of a schema. `closed`: properties that it does not name are faults too."""
    schemas = described["components"]["schemas"]
    schema = _closed(schemas[name], schemas) if closed else {"$ref": f"{_REF}{name}"}
    return jsonschema.Draft202012Validator({**schema, "components": {"schemas": schemas}})


def _closed(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object's schema with the parts of its `allOf` as one, which admits no other properties."""
    merged: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for part in (schema, *schema.get("allOf", ())):
        named = re.fullmatch(rf"{_REF}(\w+)", part.get("$ref", ""))
        full = _closed(schemas[named[1]], schemas) if named else part
        merged["properties"] |= full.get("properties", {})
        merged["required"] += full.get("required", ())
    return merged


def faults(validates: jsonschema.protocols.Validator, body: Any) -> Iterator[str]:
    """Yields what is wrong, with where it is."""
    for error in validates.iter_errors(body):
        deepest = jsonschema.exceptions.best_match([error]) or error
        yield f"{deepest.json_path}: {deepest.message[:200]}"


@contextmanager
def _validated(folder: Path) -> Iterator[Running]:
    described = document()
    request, reply = validator(described, _REQUEST, closed=True), validator(described, _REPLY)
    with backends.chat_emulator() as behind:
        recorder = Recorder(behind.url, refuses=partial(faults, request), distrusts=partial(faults, reply))
        with serving(recorder.app, keep_alive_s=KEEP_ALIVE_S) as url:
            backend = Backend(f"{url}/v1", behind.model, recorder.asked, behind.words, behind.alive)
            yield Running(backend.url, "none", backend.model, backend, backend.alive)


KINDS = (Kind("openapi", "OpenAI's OpenAPI", _validated, {"kind": "chat"}, 1),)
