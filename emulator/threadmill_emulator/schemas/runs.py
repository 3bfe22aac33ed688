"""Bodies that create runs and assistants."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from threadmill_emulator.schemas.threads import CreateThread, ToolResources
from threadmill_emulator.schemas.wire import Body, CreateMessage, Metadata, Schema, Tool, by_type

Instructions = Annotated[str, Field(max_length=256_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
TokenLimit = Annotated[int, Field(ge=256)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def _auto_or_type(value: Any) -> str:
    return by_type(value) if isinstance(value, dict | BaseModel) else "<auto>"


def _word_or_object(value: Any) -> str:
    return "<object>" if isinstance(value, dict | BaseModel) else "<word>"


class NamedFunction(Body):
    name: str


class NamedTool(Body):
    type: Literal["function", "code_interpreter", "file_search"]
    function: NamedFunction | None = None


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")] | Annotated[NamedTool, Tag("<object>")],
    Discriminator(_word_or_object),
]


class TextFormat(Body):
    type: Literal["text"]


class JsonFormat(Body):
    type: Literal["json_object"]


class JsonSchema(Body):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)
    description: str | None = None
    schema_: Schema | None = Field(None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    Annotated[Literal["auto"], Tag("<auto>")]
    | Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonFormat, Tag("<json_object>")]
    | Annotated[JsonSchemaFormat, Tag("<json_schema>")],
    Discriminator(_auto_or_type),
]


class Truncation(Body):
    type: Literal["auto", "last_messages"]
    last_messages: int | None = Field(None, ge=1)


class RunSettings(Body):
    """Fields that both requests to create a run share."""

    assistant_id: str
    model: str | None = None
    reasoning_effort: Effort | None = None
    instructions: Instructions | None = None
    tools: list[Tool] | None = Field(None, max_length=20)
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None


class CreateRun(RunSettings):
    additional_instructions: Instructions | None = None
    additional_messages: list[CreateMessage] | None = None


class CreateThreadAndRun(RunSettings):
    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None


class ModifyAssistant(Body):
    model: str | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    instructions: Instructions | None = None
    reasoning_effort: Effort | None = None
    tools: list[Tool] = Field([], max_length=128)
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None


class CreateAssistant(ModifyAssistant):
    model: str
