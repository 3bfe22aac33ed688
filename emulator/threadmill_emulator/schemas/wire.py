"""Strict models of request bodies: unknown fields, wrong types and exceeded limits are errors. Tags of unions are in
<angle brackets>, so that errors/refusals.py can remove them from the path of a field.
"""

import base64
import binascii
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo
from pydantic_core import PydanticCustomError

from threadmill_emulator.schemas.arguments import fitting

DATA_URL = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,(.+)", re.DOTALL)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def by_type(value: Any) -> str:
    """Returns the tag of raw input, or of a model."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>"


def by_word_or_type(value: Any) -> str:
    """Returns the tag of a word, such as "auto", or of an object or a model."""
    return by_type(value) if isinstance(value, dict | BaseModel) else "<word>"


def text_or_parts(value: object) -> str:
    """Returns the tag of a text, or of a list of its parts."""
    return "<parts>" if isinstance(value, list) else "<text>"


def by_role(value: Any) -> str:
    """Returns the tag of a message: its role."""
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return f"<{role}>"


def _image_url(url: str, info: ValidationInfo) -> str:
    """OpenAI's server accepts external URLs only; DaVinci's also accepts data URLs."""
    return any_image_url(url) if (info.context or {}).get("data_urls", True) else external_url(url)


def any_image_url(url: str) -> str:
    if not (match := DATA_URL.fullmatch(url)):
        return external_url(url)
    if is_base64(match[1]):
        return url
    raise PydanticCustomError("invalid_url", "Expected a valid URL")


def external_url(url: str) -> str:
    if (parts := urlsplit(url)).scheme in ("http", "https") and parts.netloc:
        return url
    raise PydanticCustomError("invalid_url", "Expected a valid URL")


def is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        return False
    return True


def _fillable(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        fitting(schema, "")
    except (AttributeError, IndexError, OverflowError, RecursionError, TypeError, ValueError):
        raise PydanticCustomError("invalid_schema", "not a JSON schema that could be filled in") from None
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(_fillable)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
MessageText = Annotated[str, Field(min_length=1, max_length=256_000)]
Detail = Literal["auto", "low", "high"]


class TextPart(Body):
    type: Literal["text"]
    text: MessageText


class ImageUrl(Body):
    url: Annotated[str, AfterValidator(_image_url)]
    detail: Detail = "auto"


class ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl


class ImageFile(Body):
    file_id: str
    detail: Detail = "auto"


class ImageFilePart(Body):
    type: Literal["image_file"]
    image_file: ImageFile


Part = Annotated[
    Annotated[TextPart, Tag("<text>")]
    | Annotated[ImageUrlPart, Tag("<image_url>")]
    | Annotated[ImageFilePart, Tag("<image_file>")],
    Discriminator(by_type),
]
Content = Annotated[
    Annotated[MessageText, Tag("<text>")] | Annotated[list[Part], Field(min_length=1), Tag("<parts>")],
    Discriminator(text_or_parts),
]


def blocks(content: str | list[TextPart | ImageUrlPart | ImageFilePart]) -> list[dict[str, Any]]:
    """Returns the content of a message in the form of a message object."""
    parts = [TextPart(type="text", text=content)] if isinstance(content, str) else content
    return [
        {"type": "text", "text": {"value": part.text, "annotations": []}}
        if isinstance(part, TextPart)
        else part.model_dump()
        for part in parts
    ]


class CodeInterpreter(Body):
    type: Literal["code_interpreter"]


class FileSearchSettings(Body):
    max_num_results: int | None = Field(None, ge=1, le=50)
    ranking_options: dict[str, Any] | None = None


class FileSearch(Body):
    type: Literal["file_search"]
    file_search: FileSearchSettings | None = None


class FileSearchTypeOnly(Body):
    type: Literal["file_search"]


class FunctionDefinition(Body):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Function(Body):
    type: Literal["function"]
    function: FunctionDefinition


Tool = Annotated[
    Annotated[CodeInterpreter, Tag("<code_interpreter>")]
    | Annotated[FileSearch, Tag("<file_search>")]
    | Annotated[Function, Tag("<function>")],
    Discriminator(by_type),
]
AttachmentTool = Annotated[
    Annotated[CodeInterpreter, Tag("<code_interpreter>")] | Annotated[FileSearchTypeOnly, Tag("<file_search>")],
    Discriminator(by_type),
]


class Attachment(Body):
    file_id: str
    tools: list[AttachmentTool]


class CreateMessage(Body):
    role: Literal["user", "assistant"]
    content: Content
    attachments: list[Attachment] | None = None
    metadata: Metadata | None = None


class ToolOutput(Body):
    tool_call_id: str
    output: str


class SubmitToolOutputs(Body):
    tool_outputs: list[ToolOutput]
    stream: bool | None = None
