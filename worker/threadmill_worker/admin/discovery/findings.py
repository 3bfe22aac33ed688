"""What a check of a server found out, and how. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from threadmill.settings.endpoints.endpoint import Wire
from threadmill.settings.endpoints.supports import Supports
from threadmill_worker.drivers.http.exchange import Reply
from threadmill_worker.drivers.replies.error_bodies import read_error

#: What is found out besides the fields of Supports, and what it is.
FEATURES = {
    "assistants": "the Assistants API",
    "responses": "the Responses API",
    "chat": "Chat Completions",
    "models": "a list of its models",
    "conversations": "conversations of the Responses API",
    "tools": "calls of functions",
    "streaming": "streams of text",
    "background": "work in the background",
    "stored_responses": "stored responses",
    "list_responses": "a list of responses",
    "create_and_run": "a thread and a run in one call",
    "files": "files and vector stores",
    "data_urls": "images as data URLs",
    "json_schema": "answers by a JSON Schema",
    "max_completion_tokens": "max_completion_tokens",
    "stream_usage": "the tokens of a stream",
    "batches": "the Batch API",
}

#: Characters of a server's text that a finding repeats.
_SAID_LIMIT = 160

#: Models that answer no prompts, by parts of their names.
_OTHER_MODELS = (
    "embed",
    "whisper",
    "tts",
    "dall-e",
    "image",
    "moderation",
    "rerank",
    "realtime",
    "audio",
    "transcribe",
)


@dataclass(frozen=True)
class Finding:
    """`has`: whether the server has the feature; None: not found out. `how`: the request and its reply."""

    feature: str
    has: bool | None
    how: str

    @property
    def meaning(self) -> str:
        return FEATURES[self.feature]


@dataclass(frozen=True)
class Discovery:
    """What was found out about a server."""

    base_url: str
    wire: Wire  #: the API that threadmill should use there
    findings: tuple[Finding, ...] = ()
    models: tuple[str, ...] = ()
    model: str | None = None  #: the one that was named, or the only one
    notes: tuple[str, ...] = ()  #: what else the user should know
    warnings: tuple[str, ...] = ()  #: what jobs will stumble over

    def has(self, feature: str) -> bool | None:
        found = self.of(feature)
        return found.has if found else None

    def of(self, feature: str) -> Finding | None:
        """Returns the last finding about a feature."""
        return next((each for each in reversed(self.findings) if each.feature == feature), None)

    @property
    def supports(self) -> dict[str, Finding]:
        """What decides fields of the table `supports`, by field."""
        found = {name: self.of(name) for name in Supports.model_fields}
        return {name: each for name, each in found.items() if each is not None and each.has is not None}

    @property
    def wires(self) -> tuple[str, ...]:
        return tuple(name for name in ("responses", "chat", "assistants") if self.has(name))


def said(reply: Reply) -> str:
    """Returns a reply in short: its status and, of an error, its text."""
    if reply.location:
        return f"{reply.status}, redirected to {reply.location}"
    shown = read_error(reply.text).message if not 200 <= reply.status < 300 or _is_page(reply) else ""
    shown = " ".join(shown.split()).removeprefix(f"{reply.status} ")  # Ollama: "404 page not found"
    return f"{reply.status} {shown if len(shown) <= _SAID_LIMIT else shown[:_SAID_LIMIT] + '...'}".rstrip()


def _is_page(reply: Reply) -> bool:
    return reply.content_type.startswith("text/html")


def usual_model(models: Iterable[str]) -> str | None:
    """Returns the only model that answers prompts; None: there is none, or there are several."""
    answering = [model for model in models if not any(part in model.lower() for part in _OTHER_MODELS)]
    return answering[0] if len(answering) == 1 else None


def models_in(body: Any) -> tuple[str, ...]:
    """Returns the ids of a list of models. Gemini's begin with `models/`, which its chat accepts, too."""
    data = body.get("data") if isinstance(body, dict) else None
    ids = [each.get("id") for each in data if isinstance(each, dict)] if isinstance(data, list) else []
    return tuple(dict.fromkeys(each for each in ids if isinstance(each, str) and each))
