"""Files, which are uploaded as forms and downloaded as bytes."""

from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from threadmill_emulator.errors.api_error import ApiError, empty_file, invalid_extension, missing
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.http.pagination import FilesQuery, page
from threadmill_emulator.objects.assistants import deleted, file_object
from threadmill_emulator.storage.filetypes import VISION, extension


class Expiry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class CreateFile(BaseModel):
    """Not strict: all values of a form are strings."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
    expires_after: Expiry | None = None


async def create(call: Call) -> Reply:
    if "files_500" in call.emulator.options.extras:
        raise ApiError(500, "files_settings is not set, set it on your config.yaml file.")
    if not call.request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "The request must be sent as multipart/form-data.")
    async with call.request.form() as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise missing("file")
        data, name = await upload.read(), upload.filename or "upload"
        body = parse(CreateFile, _nested({key: value for key, value in form.items() if key != "file"}))
    if not data:
        raise empty_file()
    if body.purpose == "vision" and extension(name) not in VISION:
        raise invalid_extension(extension(name), VISION)
    lives_s = body.expires_after.seconds if body.expires_after else None
    return file_object(call.state.files.add(name, data, body.purpose, lives_s))


def _nested(fields: dict[str, object]) -> dict[str, object]:
    """expires_after[seconds]=3600 -> {"expires_after": {"seconds": "3600"}}"""
    nested: dict[str, object] = {}
    for key, value in fields.items():
        outer, bracket, inner = key.partition("[")
        if bracket:
            part = nested.setdefault(outer, {})
            if isinstance(part, dict):
                part[inner.rstrip("]")] = value
        else:
            nested[key] = value
    return nested


async def list_(call: Call) -> Reply:
    purpose = call.query.get("purpose")
    files = [file for file in call.state.files.all() if purpose in (None, file.purpose)]
    return page(call, files, file_object, FilesQuery)


async def retrieve(call: Call) -> Reply:
    return file_object(call.state.files.get(call.id("file_id")))


async def content(call: Call) -> Reply:
    file = call.state.files.get(call.id("file_id"))
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
    return Response(file.data, media_type="application/octet-stream", headers=headers)


async def delete(call: Call) -> Reply:
    call.state.files.delete(call.id("file_id"))
    return deleted(call.id("file_id"), "file")


ROUTES = [
    route("POST", "/files", "files.create", create, beta=False),
    route("GET", "/files", "files.list", list_, beta=False),
    route("GET", "/files/{file_id}", "files.retrieve", retrieve, beta=False),
    route("GET", "/files/{file_id}/content", "files.content", content, beta=False),
    route("DELETE", "/files/{file_id}", "files.delete", delete, beta=False),
]
