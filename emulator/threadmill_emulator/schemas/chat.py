"""The body that creates a chat completion, and its messages."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from threadmill_emulator.schemas.items import Refusal, Text, TextOr, file_as_data_url
from threadmill_emulator.schemas.responses import StreamOptions, ToolsOfChoice
from threadmill_emulator.schemas.runs import (
    Effort,
    JsonFormat,
    JsonSchemaFormat,
    NamedFunction,
    Temperature,
    TextFormat,
    TopP,
)
from threadmill_emulator.schemas.wire import (
    Body,
    Function,
    ImageUrl,
    Metadata,
    by_role,
    by_type,
    by_word_or_type,
    text_or_parts,
)

Name = Annotated[str, Field(pattern=r"^[^\s<|\\/>]+$", max_length=64)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Stop = Annotated[str, Field(min_length=1)]


class TextPart(Body):
    type: Literal["text"]
    text: Text


class AnyImageUrl(ImageUrl):
    detail: Literal["auto", "low", "high", "original"] = "auto"  # type: ignore[assignment]


class ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: AnyImageUrl


class File(Body):
    file_id: str | None = None
    file_data: Annotated[str, AfterValidator(file_as_data_url)] | None = None
    filename: str | None = None


class FilePart(Body):
    type: Literal["file"]
    file: File


UserPart = Annotated[
    Annotated[TextPart, Tag("<text>")]
    | Annotated[ImageUrlPart, Tag("<image_url>")]
    | Annotated[FilePart, Tag("<file>")],
    Discriminator(by_type),
]
AssistantPart = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[Refusal, Tag("<refusal>")], Discriminator(by_type)
]
Texts = TextOr[TextPart]


class SystemMessage(Body):
    role: Literal["system", "developer"]
    content: Texts
    name: Name | None = None


class UserMessage(Body):
    role: Literal["user"]
    content: TextOr[UserPart]
    name: Name | None = None


class CalledFunction(Body):
    name: str
    arguments: str


class MessageToolCall(Body):
    id: str
    type: Literal["function"]
    function: CalledFunction
    extra_content: dict[str, Any] | None = None  # Gemini's; `chat/checks.py` refuses it elsewhere

    @property
    def signature(self) -> object:
        """Gemini's thought signature."""
        google = (self.extra_content or {}).get("google")
        return google.get("thought_signature") if isinstance(google, dict) else None


class AssistantMessage(Body):
    role: Literal["assistant"]
    content: TextOr[AssistantPart] | None = None
    refusal: str | None = None
    name: Name | None = None
    tool_calls: list[MessageToolCall] | None = Field(None, min_length=1, max_length=128)
    annotations: list[dict[str, Any]] | None = None  # a reply's message may be sent back as it came
    audio: None = None
    function_call: None = None


class ToolMessage(Body):
    role: Literal["tool"]
    content: Texts
    tool_call_id: str


Message = Annotated[
    Annotated[SystemMessage, Tag("<system>")]
    | Annotated[SystemMessage, Tag("<developer>")]
    | Annotated[UserMessage, Tag("<user>")]
    | Annotated[AssistantMessage, Tag("<assistant>")]
    | Annotated[ToolMessage, Tag("<tool>")],
    Discriminator(by_role),
]


class NamedTool(Body):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    type: Literal["allowed_tools"]
    allowed_tools: ToolsOfChoice


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")]
    | Annotated[NamedTool, Tag("<function>")]
    | Annotated[AllowedTools, Tag("<allowed_tools>")],
    Discriminator(by_word_or_type),
]
ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonFormat, Tag("<json_object>")]
    | Annotated[JsonSchemaFormat, Tag("<json_schema>")],
    Discriminator(by_type),
]
ChatTool = Annotated[Annotated[Function, Tag("<function>")], Discriminator(by_type)]


class ChatStreamOptions(StreamOptions):
    include_usage: bool | None = None


class CreateCompletion(Body):
    messages: list[Message] = Field(min_length=1)
    model: str = Field(min_length=1)
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[int, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    metadata: Metadata | None = None
    modalities: list[Literal["text"]] | None = None
    n: int | None = Field(None, ge=1, le=128)
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Effort | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: (
        Annotated[
            Annotated[Stop, Tag("<text>")] | Annotated[list[Stop], Field(min_length=1, max_length=4), Tag("<parts>")],
            Discriminator(text_or_parts),
        ]
        | None
    ) = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    temperature: Temperature | None = None
    tool_choice: ToolChoice | None = None
    tools: list[ChatTool] | None = Field(None, max_length=128)
    top_p: TopP | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    # What the emulator does not imitate; `chat/checks.py` refuses these.
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    moderation: Any = None
    prediction: Any = None
    web_search_options: Any = None

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def tells_usage(self) -> bool:
        """Whether its stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)
