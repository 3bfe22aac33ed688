"""What was tried in the playground, as a command and as a profile. PURE."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadmill.job.message import is_upload, upload_of
from threadmill.job.prompt import PromptJob
from threadmill.settings.profile import Profile
from threadmill.settings.settings import Settings

#: Options of `submit` and `batch` for fields of a job, in their order.
_OPTIONS = {
    "endpoint": "--endpoint",
    "profile": "--profile",
    "assistant": "--assistant",
    "model": "--model",
    "instructions": "--instructions",
    "timeout_s": "--timeout-s",
}

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Saved:
    """`submit`, `batch`: command lines. `schema`: the content of schema.json, which they name. `profile`: lines of
    threadmill.toml; None: no model is known."""

    submit: str
    batch: str
    schema: str | None
    profile: str | None


def saved(job: PromptJob, settings: Settings, names: Mapping[str, str]) -> Saved:
    """Returns what a job is on the command line. `names`: of its uploads."""
    schema = _schema(job.response_format)
    options = [*_options(job), *(["--json-schema", "schema.json"] if schema is not None else [])]
    prompt = job.prompt or ""
    template = prompt if "{{" in prompt else f"{prompt}\n\n{{{{ text }}}}"
    batch = shlex.join(["threadmill", "batch", "DOCUMENTS", "--prompt", template, *options, "--out", "answers.jsonl"])
    return Saved(_submit(job, [*options, *_files(job, names)], prompt), batch, schema, _profile(job, settings))


def _submit(job: PromptJob, options: list[str], prompt: str) -> str:
    """Returns the command that enqueues the job. A field without an option is written to its stdin."""
    options += ["--keep-thread"] if job.keep_thread else []
    options += ["--thread", job.thread] if job.thread else []
    rest = ""
    if job.response_format is not None and _schema(job.response_format) is None:
        rest = f"echo {shlex.quote(json.dumps({'response_format': job.response_format}, ensure_ascii=False))} | "
        options += ["--job", "-"]
    asked = ["--", prompt] if prompt.startswith("-") else [prompt]
    return rest + shlex.join(["threadmill", "submit", *options, "--follow", *asked])


def _options(job: PromptJob) -> list[str]:
    found: list[str] = []
    for name, option in _OPTIONS.items():
        if (value := getattr(job, name)) is not None:
            found += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    for tool in job.tools or ():
        found += ["--tool", tool] if isinstance(tool, str) else []
    return found + (["--priority", job.priority] if job.priority != "normal" else [])


def _files(job: PromptJob, names: Mapping[str, str]) -> list[str]:
    """Returns the options for images and files: uploads by the names that they had on their owner's machine."""
    found: list[str] = []
    for image in job.image_sources:
        source = names.get(upload_of(image), "IMAGE") if is_upload(image) else image
        found += ["--image", source if not source.startswith("data:") else "IMAGE"]
    for file in job.files:
        source = names.get(file.upload, "FILE") if file.upload else file.shown
        found += ["--code-file" if "code_interpreter" in file.tools else "--file", source]
    return found


def _schema(response_format: object) -> str | None:
    """Returns the JSON Schema that an answer has to match; None if there is none."""
    if not isinstance(response_format, dict) or response_format.get("type") != "json_schema":
        return None
    return json.dumps(response_format.get("json_schema"), ensure_ascii=False, indent=2)


def _profile(job: PromptJob, settings: Settings) -> str | None:
    """Returns a profile with the choices of the job, on top of those of its own profile."""
    base = settings.profiles.get(job.profile or "")
    endpoint = settings.endpoints.get(job.endpoint or "")
    given: dict[str, Any] = base.model_dump(mode="json", exclude_defaults=True) if base else {}
    model = job.model or given.get("model") or (endpoint.model if endpoint else None)
    if model is None:
        return None
    tools = list(job.tools) if job.tools is not None else None
    chosen = {"instructions": job.instructions, "tools": tools, "response_format": job.response_format}
    given |= {"model": model} | {name: value for name, value in chosen.items() if value is not None}
    ordered = {name: given[name] for name in Profile.model_fields if name in given}
    lines = [f"{name} = {toml(value)}" for name, value in ordered.items()]
    return "\n".join(["[profiles.NAME]", *lines])


def toml(value: Any) -> str:
    """Returns a value of JSON as TOML, in one line. TOML has no null: members that are null are left out."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(toml(each) for each in value if each is not None)}]"
        case dict():
            members = (f"{_key(name)} = {toml(each)}" for name, each in value.items() if each is not None)
            return f"{{ {', '.join(members)} }}" if value else "{}"
        case _:
            return json.dumps(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)
