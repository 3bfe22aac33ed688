"""`threadmill tools`: lists the tools that runs may call."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from threadmill.settings.settings import Settings
from threadmill_cli.app import AsJson, Endpoint, Exit, write_json, write_line
from threadmill_cli.command import examples
from threadmill_cli.extras import worker_code

if TYPE_CHECKING:
    from threadmill_worker.admin.tools import OfferedTool


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("threadmill tools", "threadmill tools --endpoint davinci --json"))(tools)


def tools(endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """List the tools that a worker with these settings offers at each endpoint; exit 1 if one cannot be used."""
    settings = Settings.load()
    endpoints = list(settings.endpoints) if endpoint is None else [settings.endpoint_name(endpoint)]
    with worker_code():
        from threadmill_worker.admin.tools import offered_tools

        found = asyncio.run(offered_tools(settings, endpoints))
    if as_json:
        write_json({name: [asdict(tool) for tool in listed] for name, listed in found.items()})
    else:
        for name, listed in found.items():
            write_line(f"{name}{'' if listed else '  no tools'}")
            for tool in listed:
                write_line(f"  {_line(tool)}")
    if any(tool.problem for listed in found.values() for tool in listed):
        raise typer.Exit(Exit.FAILED)


def _line(tool: "OfferedTool") -> str:
    head = f"{tool.kind:<8}  {tool.name}"
    if tool.problem:
        return f"{head}  FAIL: {tool.problem}"
    limits = [f"{tool.timeout_s:g} s"]
    if tool.concurrency:
        limits.append(f"{tool.concurrency} at a time")
    if tool.repeatable:
        limits.append("repeatable")
    description = tool.description.strip().splitlines()
    return f"{head}{_signature(tool.parameters)}  {', '.join(limits)}{'  ' + description[0] if description else ''}"


def _signature(parameters: Mapping[str, Any] | None) -> str:
    """Returns the arguments in short form: `(city: string, unit?: string)`."""
    if parameters is None:
        return ""
    required = parameters.get("required") or []
    shown = []
    for name, schema in (parameters.get("properties") or {}).items():
        kind = schema.get("type") if isinstance(schema, dict) else None
        words = "|".join(kind) if isinstance(kind, list) else kind or "any"
        shown.append(f"{name}{'' if name in required else '?'}: {words}")
    return f"({', '.join(shown)})"
