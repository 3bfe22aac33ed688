"""The tool resources of threads and assistants: files and vector stores."""

from collections.abc import Iterable
from typing import Any

from threadmill_emulator.errors.api_error import no_referenced_file, no_referenced_store, unsupported_by_tool
from threadmill_emulator.schemas import wire
from threadmill_emulator.schemas.threads import ToolResources
from threadmill_emulator.storage.files import Files
from threadmill_emulator.storage.filetypes import CODE_INTERPRETER, extension
from threadmill_emulator.storage.vector_stores import IN_PASSING, VectorStores

Resources = dict[str, Any]


def check_file_ids(files: Files, ids: Iterable[str], param: str) -> None:
    for id in ids:
        if id not in files:
            raise no_referenced_file(id, param)


def check_message(files: Files, body: wire.CreateMessage, where: str = "") -> None:
    for number, attachment in enumerate(body.attachments or []):
        param = f"{where}attachments[{number}].file_id"
        check_file_ids(files, [attachment.file_id], param)
        kind = extension(files.get(attachment.file_id).name)
        if _names(attachment, "code_interpreter") and kind not in CODE_INTERPRETER:
            raise unsupported_by_tool(kind, "code_interpreter", CODE_INTERPRETER, param)
    for number, part in enumerate(body.content):
        if isinstance(part, wire.ImageFilePart):
            check_file_ids(files, [part.image_file.file_id], f"{where}content[{number}].image_file.file_id")


def check(files: Files, stores: VectorStores, body: ToolResources | None) -> None:
    if body and body.code_interpreter:
        check_file_ids(files, body.code_interpreter.file_ids, "tool_resources.code_interpreter.file_ids")
    if body and body.file_search:
        for id in body.file_search.vector_store_ids or []:
            if id not in stores:
                raise no_referenced_store(id, "tool_resources.file_search.vector_store_ids")
        for number, helper in enumerate(body.file_search.vector_stores or []):
            param = f"tool_resources.file_search.vector_stores[{number}].file_ids"
            check_file_ids(files, helper.file_ids, param)


def kept(stores: VectorStores, body: ToolResources | None) -> Resources:
    """Returns the resources as stored, after `check`; creates the vector stores that they describe."""
    resources: Resources = {}
    if body and body.code_interpreter:
        resources["code_interpreter"] = {"file_ids": list(body.code_interpreter.file_ids)}
    if body and body.file_search:
        ids = list(body.file_search.vector_store_ids or [])
        for helper in body.file_search.vector_stores or []:
            ids.append(stores.create(helper.file_ids, "", helper.metadata, IN_PASSING).id)
        resources["file_search"] = {"vector_store_ids": ids}
    return resources


def attach(stores: VectorStores, resources: Resources, body: wire.CreateMessage, searches: bool) -> None:
    """Adds a message's attachments to the thread: files for file_search to its vector store, created if missing."""
    for attachment in body.attachments or []:
        if _names(attachment, "code_interpreter"):
            ids = resources.setdefault("code_interpreter", {"file_ids": []})["file_ids"]
            ids += [attachment.file_id] if attachment.file_id not in ids else []
        if _names(attachment, "file_search") and searches:
            ids = resources.setdefault("file_search", {"vector_store_ids": []})["vector_store_ids"]
            ids[:] = [id for id in ids if id in stores] or [stores.create([], expires_after=IN_PASSING).id]
            stores.add(stores.get(ids[0]), attachment.file_id)


def _names(attachment: wire.Attachment, tool: str) -> bool:
    return any(each.type == tool for each in attachment.tools)
