"""Whether a response may be made at all: what its body names must be there, and fit together."""

from threadmill_emulator.containers import Containers
from threadmill_emulator.errors import (
    no_background,
    no_input,
    no_referenced_store,
    no_such_choice,
    one_of_two,
    unknown_parameter,
)
from threadmill_emulator.files import Files
from threadmill_emulator.options import Options
from threadmill_emulator.resources import check_file_ids
from threadmill_emulator.vector_stores import VectorStores
from threadmill_emulator.wire_responses import (
    ContainedCodeInterpreter,
    CreateResponse,
    FileSearch,
    Function,
    HostedTool,
    NamedFunction,
)


def check(body: CreateResponse, files: Files, stores: VectorStores, containers: Containers, options: Options) -> None:
    if body.previous_response_id is not None and body.conversation_id is not None:
        raise one_of_two("previous_response_id", "conversation")
    if body.input is None and body.previous_response_id is None and body.conversation_id is None:
        raise no_input()
    if body.background and not options.offers("background"):
        raise no_background()
    if body.conversation_id is not None and not options.offers("conversations"):
        raise unknown_parameter("conversation")
    for number, tool in enumerate(body.tools):
        where = f"tools[{number}]"
        match tool:
            case FileSearch():
                for id in tool.vector_store_ids:
                    if id not in stores:
                        raise no_referenced_store(id, f"{where}.vector_store_ids")
            case ContainedCodeInterpreter(container=str() as id):
                containers.get(id)
            case ContainedCodeInterpreter(container=auto) if not isinstance(auto, str):
                check_file_ids(files, auto.file_ids, f"{where}.container.file_ids")
    match body.tool_choice:
        case NamedFunction(name=name) if name not in _functions(body):
            raise no_such_choice("function")
        case HostedTool(type=kind) if kind not in {tool.type for tool in body.tools}:
            raise no_such_choice(kind)
        case "required" if not body.tools:
            raise no_such_choice("required")


def _functions(body: CreateResponse) -> set[str]:
    return {tool.name for tool in body.tools if isinstance(tool, Function)}
