"""Bodies that create responses and conversations."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from threadmill_emulator.schemas.items import InputItem, TextOr
from threadmill_emulator.schemas.runs import Effort, JsonFormat, JsonSchema, Temperature, TextFormat, TopP
from threadmill_emulator.schemas.wire import (
    Body,
    CodeInterpreter,
    FunctionDefinition,
    Metadata,
    Schema,
    by_type,
    by_word_or_type,
)

#: Values of `include`.
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
RESULTS: Includable = "file_search_call.results"
OUTPUTS: Includable = "code_interpreter_call.outputs"


class Function(FunctionDefinition):
    """Flat, where an assistant's is nested."""

    type: Literal["function"]


class FileSearch(Body):
    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1)
    max_num_results: int | None = Field(None, ge=1, le=50)
    ranking_options: dict[str, Any] | None = None
    filters: dict[str, Any] | None = None


class AutoContainer(Body):
    type: Literal["auto"]
    file_ids: list[str] = Field([], max_length=50)
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None


def _id_or_object(value: Any) -> str:
    return "<object>" if isinstance(value, dict | BaseModel) else "<id>"


class ContainedCodeInterpreter(CodeInterpreter):
    container: Annotated[
        Annotated[str, Tag("<id>")] | Annotated[AutoContainer, Tag("<object>")], Discriminator(_id_or_object)
    ]


Tool = Annotated[
    Annotated[Function, Tag("<function>")]
    | Annotated[FileSearch, Tag("<file_search>")]
    | Annotated[ContainedCodeInterpreter, Tag("<code_interpreter>")],
    Discriminator(by_type),
]


class NamedFunction(Body):
    type: Literal["function"]
    name: str


class HostedTool(Body):
    type: Literal["file_search", "code_interpreter"]


class ToolsOfChoice(Body):
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class AllowedTools(ToolsOfChoice):
    type: Literal["allowed_tools"]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")]
    | Annotated[NamedFunction, Tag("<function>")]
    | Annotated[HostedTool, Tag("<file_search>")]
    | Annotated[HostedTool, Tag("<code_interpreter>")]
    | Annotated[AllowedTools, Tag("<allowed_tools>")],
    Discriminator(by_word_or_type),
]


class JsonSchemaFormat(JsonSchema):
    """Flat, where a run's is nested."""

    type: Literal["json_schema"]
    schema_: Schema = Field(alias="schema")


TextFormats = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonFormat, Tag("<json_object>")]
    | Annotated[JsonSchemaFormat, Tag("<json_schema>")],
    Discriminator(by_type),
]


class TextConfig(Body):
    format: TextFormats | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfig(Body):
    effort: Effort | None = None
    summary: Literal["concise", "detailed", "auto"] | None = None


class StreamOptions(Body):
    include_obfuscation: bool | None = None


class BackgroundOptions(Body):
    completion_window: Literal["soonest", "2h", "8h"] = "soonest"
    continuation_id: str | None = None


class ConversationId(Body):
    id: str


class CreateResponse(Body):
    model: str = Field(min_length=1)
    input: TextOr[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: (
        Annotated[
            Annotated[str, Tag("<id>")] | Annotated[ConversationId, Tag("<object>")], Discriminator(_id_or_object)
        ]
        | None
    ) = None
    tools: list[Tool] = Field([], max_length=128)
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(None, ge=1)
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_output_tokens: int | None = Field(None, ge=16)
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Metadata | None = None
    background: bool | None = None
    background_options: BackgroundOptions | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: list[Includable] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    user: str | None = None

    @property
    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationId) else self.conversation

    @property
    def vector_store_ids(self) -> list[str]:
        return [id for tool in self.tools if isinstance(tool, FileSearch) for id in tool.vector_store_ids]

    @property
    def interpreter(self) -> ContainedCodeInterpreter | None:
        return next((tool for tool in self.tools if isinstance(tool, ContainedCodeInterpreter)), None)

    @property
    def file_ids(self) -> list[str]:
        """Ids of the files that code_interpreter can read."""
        container = self.interpreter.container if self.interpreter else None
        return container.file_ids if isinstance(container, AutoContainer) else []


class CreateConversation(Body):
    items: list[InputItem] | None = Field(None, max_length=20)
    metadata: Metadata | None = None


class CreateItems(Body):
    items: list[InputItem] = Field(min_length=1, max_length=20)
