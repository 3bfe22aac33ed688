"""The form of the playground: what somebody typed, and the job that it is. PURE."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from starlette.datastructures import FormData

from threadmill.errors import InvalidJob
from threadmill.job.message import BUILT_IN, UPLOAD
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill_gateway.dashboard.conversation import thread_of

#: Characters of a name, a number or an id that the form takes. The fields of a job have limits of their own.
_LINE = 10_000


@dataclass(frozen=True)
class Typed:
    """What the form holds, as text; '' is what was left out."""

    prompt: str = ""
    endpoint: str = ""
    profile: str = ""
    assistant: str = ""
    model: str = ""
    instructions: str = ""
    response_format: str = ""  #: "", "json_object" or "json_schema"
    schema: str = ""  #: JSON Schema, for "json_schema"
    tools: tuple[str, ...] = ()
    files_for: str = BUILT_IN[0]  #: the tool that reads the files
    timeout_s: str = ""
    priority: str = "normal"
    thread: str = ""  #: the kept thread that the job continues
    keep_thread: bool = True

    @classmethod
    def of(cls, form: FormData) -> Self:
        """Reads a form that was sent."""
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        tools = tuple(value for name, value in form.multi_items() if name == "tools" and isinstance(value, str))
        lines = {each.name for each in fields(cls)} - {"tools", "keep_thread"}
        given: dict[str, Any] = {name: texts[name].replace("\r\n", "\n") for name in lines & texts.keys()}
        return cls(**given, tools=tools, keep_thread="keep_thread" in texts)

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> Self:
        """Reads what a link to the playground has chosen."""
        names = ("endpoint", "profile", "assistant", "model", "thread", "prompt")
        given: dict[str, Any] = {name: query[name][:_LINE] for name in names if name in query}
        return cls(**given)

    @classmethod
    def after(cls, record: JobRecord) -> Self:
        """Returns the form that continues the thread of a job with the same options. `thread` is '' if it has none."""
        job, thread = record.job, thread_of(record)
        asked = job.response_format
        kind = asked.get("type", "") if isinstance(asked, dict) else asked or ""
        shown = json.dumps(_schema_of(asked), ensure_ascii=False, indent=2) if kind == "json_schema" else ""
        return cls(
            endpoint=record.endpoint or job.endpoint or "",
            profile=job.profile or "",
            assistant=job.assistant or "",
            model=job.model or "",
            instructions=job.instructions or "",
            response_format=str(kind) if kind in ("json_object", "json_schema") else "",
            schema=shown,
            tools=tuple(tool for tool in job.tools or () if isinstance(tool, str)),
            timeout_s=f"{job.timeout_s:g}" if job.timeout_s is not None else "",
            priority=job.priority,
            thread=thread or "",
        )

    def job(self, images: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> PromptJob:
        """Returns the job. `images`, `files`: ids of uploads. Raises InvalidJob."""
        given = {
            "prompt": self.prompt,
            "images": [UPLOAD + upload for upload in images],
            "files": [{"upload": upload, "tools": [self.files_for]} for upload in files],
            "tools": list(self.tools) or None,
            "timeout_s": _number("timeout_s", self.timeout_s),
            "response_format": self._response_format(),
            "priority": self.priority,
            "keep_thread": self.keep_thread,
            "stream": True,
        }
        for name in ("endpoint", "profile", "assistant", "model", "instructions", "thread"):
            given[name] = getattr(self, name).strip() or None
        return PromptJob.parse({name: value for name, value in given.items() if value is not None})

    def _response_format(self) -> dict[str, Any] | None:
        if self.response_format == "json_object":
            return {"type": "json_object"}
        if self.response_format != "json_schema":
            return None
        try:
            schema = json.loads(self.schema)
        except (ValueError, RecursionError) as error:
            raise InvalidJob(f"the JSON Schema is not JSON: {error}") from None
        if not isinstance(schema, dict):
            raise InvalidJob('the JSON Schema is not a JSON object: write one, such as {"type": "object"}')
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _schema_of(response_format: object) -> object:
    """Returns the schema in a `response_format`."""
    found = response_format.get("json_schema") if isinstance(response_format, dict) else None
    return found.get("schema", {}) if isinstance(found, dict) else {}


def _number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidJob(f"`{name}` is {text!r:.40}: write a number") from None


@dataclass(frozen=True)
class Choices:
    """What the form offers. `profiles`: each with the endpoints that can use it."""

    endpoints: tuple[str, ...]
    default_endpoint: str | None
    profiles: Mapping[str, tuple[str, ...]]
    tools: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, applied: set[tuple[str, str]]) -> Self:
        """`applied`: endpoints and profiles for which an assistant exists."""
        without = [name for name, endpoint in settings.endpoints.items() if not endpoint.has_assistants]
        usable = {*applied, *((endpoint, profile) for endpoint in without for profile in settings.profiles)}
        profiles: dict[str, tuple[str, ...]] = {}
        for endpoint, profile in sorted(usable):
            if endpoint in settings.endpoints:
                profiles[profile] = (*profiles.get(profile, ()), endpoint)
        tools = (*BUILT_IN, *sorted(settings.tools), *sorted(settings.mcp))
        return cls(tuple(settings.endpoints), settings.default_endpoint, profiles, tools)

    @property
    def endpoint_options(self) -> list[tuple[str, str]]:
        """The endpoints as options of a list: their value and their text."""
        return [(name, name) for name in self.endpoints]

    @property
    def profile_options(self) -> list[tuple[str, str]]:
        """The profiles as options, each with the endpoints that can use it."""
        return [(name, f"{name} ({', '.join(endpoints)})") for name, endpoints in self.profiles.items()]
