"""Options for a job's fields, which `submit` and `batch` share."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from threadmill.errors import InvalidJob
from threadmill.job.callback import Callback, CallbackFormat
from threadmill.job.lanes import LaneName, TierName
from threadmill.job.message import is_file_id
from threadmill.job.prompt import Priority as PriorityName
from threadmill_cli.app import without_none
from threadmill_cli.rendering.times import parse_moment, parse_span

_start = partial(typer.Option, rich_help_panel="Order and start")

Images = Annotated[
    list[str] | None, typer.Option("--image", metavar="PATH|URL", help="Show this image to the model. Repeatable.")
]
Files = Annotated[
    list[str] | None, typer.Option("--file", metavar="PATH|ID", help="Give this file to file_search. Repeatable.")
]
CodeFiles = Annotated[
    list[str] | None,
    typer.Option("--code-file", metavar="PATH|ID", help="Give this file to code_interpreter. Repeatable."),
]
Profile = Annotated[
    str | None, typer.Option(help="Use the assistant of this profile, which must have been applied to the endpoint.")
]
Model = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Use this model. Default: the assistant's or the endpoint's.")
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", min=1, metavar="N", help="Limit each answer to this many tokens; a longer one is cut and fails."
    ),
]
Temperature = Annotated[
    float | None, typer.Option(min=0, max=2, help="Sampling temperature. Default: the assistant's or the model's.")
]
Instructions = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Use these instructions, not the assistant's own.")
]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tool",
        metavar="NAME",
        help="Use this tool of the settings, file_search or code_interpreter, not the assistant's own. Repeatable.",
    ),
]
JsonSchema = Annotated[
    Path | None, typer.Option("--json-schema", metavar="FILE", help="Require answers that match this JSON Schema.")
]
Lane = Annotated[
    LaneName | None,
    typer.Option(
        help="Get the answer at a lower price, and later (endpoints of kind `responses`). batch: the provider's Batch "
        "API, within a day; flex: processing of lower priority; within-2h, within-8h: within so many hours."
    ),
]
ServiceTier = Annotated[
    TierName | None,
    typer.Option(
        "--service-tier",
        help="Get the answer faster, at a higher price, if the server can (endpoints of kind `responses` and `chat`).",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Get the same answers to the same prompts, as far as the server can (endpoints of kind `chat`).",
    ),
]

Priority = Annotated[
    PriorityName | None,
    _start(help="Which jobs start first when more are ready than workers have slots. Default: normal.", metavar="NAME"),
]
Tenant = Annotated[
    str | None,
    _start(metavar="NAME", help="On whose behalf. Tenants get equal shares of the free slots. Default: the batch."),
]
Delay = Annotated[
    timedelta | None,
    _start(parser=parse_span, metavar="SPAN", help="Start no earlier than this long from now: 45s, 10m, 2h, 1d."),
]
StartAt = Annotated[
    datetime | None,
    _start(
        parser=parse_moment,
        metavar="TIME",
        help="Start no earlier than this: 2026-11-29T06:00 (UTC), 2026-11-29T06:00+08:00.",
    ),
]

CallbackTo = Annotated[
    str | None,
    typer.Option(
        "--callback-url",
        metavar="URL",
        rich_help_panel="Callback",
        help="Have a worker send a POST request to this http(s) URL at the end.",
    ),
]
CallbackSecret = Annotated[
    str | None,
    typer.Option(
        "--callback-secret-env",
        metavar="VARIABLE",
        rich_help_panel="Callback",
        help="Sign it with the secret (whsec_...) in this environment variable of the workers.",
    ),
]
CallbackShape = Annotated[
    CallbackFormat | None,
    typer.Option(
        "--callback-format",
        rich_help_panel="Callback",
        help="Send the body of Standard Webhooks, or a CloudEvents event. Default: webhook.",
    ),
]


def files_for(files: Sequence[str] | None, code_files: Sequence[str] | None) -> list[dict[str, Any]] | None:
    """Returns the job's `files`."""
    named = [(name, "file_search") for name in files or ()] + [(name, "code_interpreter") for name in code_files or ()]
    return [{"id" if is_file_id(name) else "path": name, "tools": [tool]} for name, tool in named] or None


def order_fields(
    priority: PriorityName | None, tenant: str | None, delay: timedelta | None, start_at: datetime | None
) -> dict[str, Any]:
    """Returns the job's fields that say in which order and when it starts."""
    delay_s = delay.total_seconds() if delay is not None else None
    return without_none(priority=priority, tenant=tenant, delay_s=delay_s, start_at=start_at)


def receiver_of(url: str | None, secret_env: str | None, form: CallbackFormat | None) -> Callback | None:
    """Returns the receiver of a batch's callback; None if no option names one. Raises InvalidJob."""
    fields = without_none(url=url, secret_env=secret_env, format=form)
    return Callback.parse(fields) if fields else None


def schema_in(file: Path | None) -> dict[str, Any] | None:
    """Returns `response_format` for a file with a schema, or with the server's form (name, schema, strict)."""
    if file is None:
        return None
    schema = read_json(file, "a JSON Schema")
    if "schema" in schema and "type" not in schema:
        return {"type": "json_schema", "json_schema": schema}
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem)[:64]  # the server takes no other characters
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def read_json(file: Path, what: str) -> dict[str, Any]:
    """The object in a file, or on stdin for `-`; raises InvalidJob."""
    is_stdin = str(file) == "-"
    name = "stdin" if is_stdin else str(file)
    try:
        value = json.loads(sys.stdin.buffer.read() if is_stdin else file.read_bytes())
    except OSError as error:
        raise InvalidJob(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidJob(f"{name}: not UTF-8 text; give {what} as JSON") from None
    except ValueError as error:
        raise InvalidJob(f"{name}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidJob(f"{name}: not a JSON object with {what}")
    return value


def read_template(file: Path, option: str) -> str:
    """Raises BadParameter, naming the option that gave the file."""
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint=option) from None
