"""Input items of responses and conversations: messages with their parts, function calls, their outputs."""

import re
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from threadmill_emulator.schemas.wire import Body, any_image_url, by_type, external_url, is_base64, text_or_parts

FILE_DATA = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,(.+)", re.DOTALL)
LONGEST = 10_485_760  #: characters of a text or of a tool output
Text = Annotated[str, Field(max_length=LONGEST)]
CallId = Annotated[str, Field(min_length=1, max_length=64)]
Status = Literal["in_progress", "completed", "incomplete"]
Part = TypeVar("Part", bound=Body)


def file_as_data_url(data: str) -> str:
    if (match := FILE_DATA.fullmatch(data)) and is_base64(match[1]):
        return data
    raise PydanticCustomError("file_data", "expected a base64-encoded data URL with a MIME type")


class InputText(Body):
    type: Literal["input_text"]
    text: Text


class InputImage(Body):
    type: Literal["input_image"]
    detail: Literal["low", "high", "auto", "original"] = "auto"
    image_url: Annotated[str, AfterValidator(any_image_url)] | None = None
    file_id: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        return _exactly_one(self, "image_url", "file_id")


class InputFile(Body):
    type: Literal["input_file"]
    detail: Literal["low", "high", "auto"] | None = None
    file_id: str | None = None
    file_data: Annotated[str, AfterValidator(file_as_data_url)] | None = None
    file_url: Annotated[str, AfterValidator(external_url)] | None = None
    filename: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file_data and not self.filename:
            raise PydanticCustomError("filename", "'file_data' needs a 'filename'")
        return _exactly_one(self, "file_id", "file_data", "file_url")


class OutputText(Body):
    type: Literal["output_text"]
    text: Text
    annotations: list[dict[str, Any]] = Field([])
    logprobs: list[dict[str, Any]] | None = None


class Refusal(Body):
    type: Literal["refusal"]
    refusal: Text


InputPart = Annotated[
    Annotated[InputText, Tag("<input_text>")]
    | Annotated[InputImage, Tag("<input_image>")]
    | Annotated[InputFile, Tag("<input_file>")],
    Discriminator(by_type),
]
OutputPart = Annotated[
    Annotated[OutputText, Tag("<output_text>")] | Annotated[Refusal, Tag("<refusal>")], Discriminator(by_type)
]
#: A text, or a list of its parts.
TextOr = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Part], Field(min_length=1), Tag("<parts>")],
    Discriminator(text_or_parts),
]


class Item(Body):
    id: str | None = None
    status: Status | None = None


class InputMessage(Item):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: TextOr[InputPart]


class AssistantMessage(Item):
    type: Literal["message"] = "message"
    role: Literal["assistant"]
    phase: Literal["commentary", "final_answer"] | None = None
    content: TextOr[OutputPart]


class FunctionCall(Item):
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
    arguments: Text


class FunctionCallOutput(Item):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Annotated[
        Annotated[Text, Tag("<text>")] | Annotated[list[InputPart], Tag("<parts>")], Discriminator(text_or_parts)
    ]


class Reasoning(Item):
    type: Literal["reasoning"]
    summary: list[dict[str, Any]]
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None


def _by_role(value: Any) -> str:
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return "<assistant>" if role == "assistant" else "<user>"


def _by_type(value: Any) -> str:
    """The field `type` of a message is optional."""
    return "<message>" if isinstance(value, dict) and "type" not in value else by_type(value)


AnyMessage = Annotated[
    Annotated[InputMessage, Tag("<user>")] | Annotated[AssistantMessage, Tag("<assistant>")], Discriminator(_by_role)
]
InputItem = Annotated[
    Annotated[AnyMessage, Tag("<message>")]
    | Annotated[FunctionCall, Tag("<function_call>")]
    | Annotated[FunctionCallOutput, Tag("<function_call_output>")]
    | Annotated[Reasoning, Tag("<reasoning>")],
    Discriminator(_by_type),
]


def _exactly_one(part: Part, *names: str) -> Part:
    if sum(getattr(part, name) is not None for name in names) != 1:
        raise PydanticCustomError("one_of", "exactly one of {names} is required", {"names": ", ".join(names)})
    return part
