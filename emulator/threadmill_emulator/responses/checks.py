"""Checks a request for a response: the objects that it names must exist, and its fields must agree."""

from threadmill_emulator.errors.api_error import no_referenced_store, unknown_parameter
from threadmill_emulator.errors.responses_api import (
    invalid_schema,
    no_background,
    no_background_streams,
    no_input,
    no_such_choice,
    no_word_json,
    one_of_two,
)
from threadmill_emulator.responses import tiers
from threadmill_emulator.schemas.responses import (
    ContainedCodeInterpreter,
    CreateResponse,
    FileSearch,
    Function,
    HostedTool,
    JsonSchemaFormat,
    NamedFunction,
    Tool,
)
from threadmill_emulator.schemas.runs import JsonFormat
from threadmill_emulator.schemas.strict_schema import not_strict
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.storage.containers import Containers
from threadmill_emulator.storage.files import Files
from threadmill_emulator.storage.resources import check_file_ids
from threadmill_emulator.storage.vector_stores import VectorStores


def check(body: CreateResponse, files: Files, stores: VectorStores, containers: Containers, options: Options) -> None:
    if body.previous_response_id is not None and body.conversation_id is not None:
        raise one_of_two("previous_response_id", "conversation")
    if body.input is None and body.previous_response_id is None and body.conversation_id is None:
        raise no_input()
    if body.background and not options.offers("background"):
        raise no_background()
    if body.background and body.stream and not options.offers("background_streams"):
        raise no_background_streams()
    tiers.check(body, options)
    if body.conversation_id is not None and not options.offers("conversations"):
        raise unknown_parameter("conversation")
    for number, tool in enumerate(body.tools):
        _check_tool(tool, f"tools[{number}]", files, stores, containers)
    _check_choice(body)
    _check_format(body)


def _check_tool(tool: Tool, where: str, files: Files, stores: VectorStores, containers: Containers) -> None:
    match tool:
        case FileSearch():
            for id in tool.vector_store_ids:
                if id not in stores:
                    raise no_referenced_store(id, f"{where}.vector_store_ids")
        case ContainedCodeInterpreter(container=str() as id):
            containers.get(id)
        case ContainedCodeInterpreter(container=auto) if not isinstance(auto, str):
            check_file_ids(files, auto.file_ids, f"{where}.container.file_ids")
        case Function(strict=True, parameters=parameters) if wrong := not_strict(parameters or {}):
            raise invalid_schema(f"function '{tool.name}'", wrong, f"{where}.parameters", "invalid_function_parameters")


def _check_choice(body: CreateResponse) -> None:
    match body.tool_choice:
        case NamedFunction(name=name) if name not in {tool.name for tool in body.tools if isinstance(tool, Function)}:
            raise no_such_choice("function")
        case HostedTool(type=kind) if kind not in {tool.type for tool in body.tools}:
            raise no_such_choice(kind)
        case "required" if not body.tools:
            raise no_such_choice("required")


def _check_format(body: CreateResponse) -> None:
    match body.text.format if body.text else None:
        case JsonSchemaFormat(strict=True, name=name, schema_=schema) if wrong := not_strict(schema):
            raise invalid_schema(f"response_format '{name}'", wrong, "text.format.schema", "invalid_json_schema")
        case JsonFormat() if "json" not in f"{body.instructions} {body.input}".lower():
            raise no_word_json()
