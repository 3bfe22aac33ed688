"""The contract: what a caller asks for. What comes back: result.py.

A job with an unknown field is refused before it is enqueued. A worker that is older than the producer leaves a job
alone that has fields it does not know (`PromptJob.read`): it would not do what they ask for.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    Field,
    JsonValue,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from threadmill.errors import InvalidJob
from threadmill.job.lanes import LaneName, discount_of
from threadmill.job.message import (
    FileInput,
    ImagePart,
    ImageSource,
    ImageUrl,
    Message,
    Text,
    TextPart,
    absolute,
    is_path,
)
from threadmill.job.model import Border, Metadata, explain
from threadmill.names import Name, ThreadId
from threadmill.stored import unknown_fields

#: Characters of a job's input by which people know it.
_GIST = 200

#: Of a job that sets none, and whose lane needs no more.
_TIMEOUT_S = 1800.0

#: Fields by which a job is found; they say nothing of what it asks.
_NOT_CONTENT = {"key", "batch"}


class PromptJob(Border):
    """One prompt to be seen through to an answer. Only the input is required.

    `prompt` is short for one user message, `images` for images in it; with `messages`, it comes after them.
    `timeout_s` bounds the execution in seconds, from the first claim; its default is 1800, or what the lane needs.
    `deadline_at` is absolute and counts the time in the queue too, by Redis' clock. `key` is the idempotency key: the
    same key is the same job.
    Field limits: the Assistants API's own (POST /threads, /runs).
    """

    prompt: Text | None = None
    messages: tuple[Message, ...] = ()
    images: tuple[ImageSource, ...] = ()
    files: tuple[FileInput, ...] = Field(default=(), max_length=20)
    endpoint: str | None = None  #: name in the settings; default: `default_endpoint`
    assistant: str | None = None  #: remote id; default: the profile's, else the endpoint's
    profile: str | None = None  #: name of one that was applied to the endpoint before
    thread: ThreadId | None = None  #: go on with this remote thread
    keep_thread: bool = False  #: leave the thread for later jobs to go on with; the result names it
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    additional_instructions: str | None = None
    model: str | None = None
    #: Names from the settings' [tools], or tool definitions in the server's own form.
    tools: tuple[str | dict[str, JsonValue], ...] | None = Field(default=None, max_length=20)
    tool_choice: str | dict[str, JsonValue] | None = None
    response_format: str | dict[str, JsonValue] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_prompt_tokens: PositiveInt | None = None  #: an endpoint has a `min_token_limit` for both
    max_completion_tokens: PositiveInt | None = None
    truncation: dict[str, JsonValue] | None = None  #: the server's `truncation_strategy`
    parallel_tool_calls: bool | None = None
    include_steps: bool = False  #: bring what the run did, code and its logs for one, in the result's `steps`
    stream: bool = False  #: have text come as it is written, for `threadmill follow`
    lane: LaneName | None = None  #: a cheaper way to the answer, which takes longer
    metadata: Metadata = Field(default={})
    key: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    deadline_at: AwareDatetime | None = None
    batch: Name | None = None

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str | None) -> str | None:
        if prompt is not None and not prompt.strip():
            raise ValueError("is blank; there is nothing to ask")
        return prompt

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if not self.conversation:
            raise ValueError("a job needs `prompt`, `messages` or `images`")
        return self

    @model_validator(mode="after")
    def _fits_its_lane(self) -> Self:
        if self.lane == "batch":
            for name in ("tools", "files", "thread", "keep_thread", "stream"):
                if getattr(self, name):
                    raise ValueError(f"the batch lane takes single questions: leave out `{name}`, or `lane`")
        discount = discount_of(self.lane)
        if discount is not None and discount.completion_window and self.stream:
            raise ValueError(f"the lane {self.lane} does not stream: leave out `stream`, or use the lane flex")
        return self

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """A job from outside; raises InvalidJob, which names each wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(explain(error)) from None

    @classmethod
    def read(cls, data: str) -> tuple[Self, tuple[str, ...]]:
        """A job from its record, and the names of its fields that only a newer version knows."""
        try:
            return cls.model_validate_json(data), ()
        except ValidationError as error:
            unknown = unknown_fields(error)
            if not unknown:
                raise
            return cls.model_validate_json(data, extra="ignore"), unknown

    @property
    def conversation(self) -> tuple[Message, ...]:
        """All messages of the job, in order."""
        if self.prompt is None and not self.images:
            return self.messages
        if self.prompt is not None and not self.images:
            return (*self.messages, Message(content=self.prompt))
        text = (TextPart(type="text", text=self.prompt),) if self.prompt is not None else ()
        images = (ImagePart(type="image_url", image_url=ImageUrl(url=image)) for image in self.images)
        return (*self.messages, Message(content=(*text, *images)))

    @property
    def time_limit_s(self) -> float:
        """Seconds from the first claim to the job's deadline."""
        if self.timeout_s is not None:
            return self.timeout_s
        discount = discount_of(self.lane)
        return discount.timeout_s if discount is not None else _TIMEOUT_S

    @property
    def image_sources(self) -> tuple[str, ...]:
        """The paths, URLs and data URLs of its images, each once, in order."""
        return tuple(dict.fromkeys(image for message in self.conversation for image in message.images))

    @property
    def paths(self) -> tuple[str, ...]:
        """The local files it names, images and others."""
        images = (image for image in self.image_sources if is_path(image))
        return (*images, *(file.path for file in self.files if file.path is not None))

    def at(self, folder: Path) -> Self:
        """The same with its local files' paths absolute, relative ones being in `folder`."""
        return self.model_copy(
            update={
                "messages": tuple(message.at(folder) for message in self.messages),
                "images": tuple(absolute(image, folder) if is_path(image) else image for image in self.images),
                "files": tuple(file.at(folder) for file in self.files),
            }
        )

    @property
    def summary(self) -> Self:
        """The same with the beginning of its input alone: enough to know it by, when nobody will run it again."""
        text = "\n".join(message.text for message in self.conversation)
        gist = text if len(text) <= _GIST else f"{text[:_GIST]}..."
        return self.model_copy(update={"prompt": gist or "-", "messages": (), "images": ()})

    @property
    def digest(self) -> str:
        """Fingerprint of the content: what must not differ between jobs of one idempotency key."""
        content = self.model_dump_json(exclude=_NOT_CONTENT, exclude_defaults=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def differences(self, other: Self) -> dict[str, tuple[object, object]]:
        """The content fields in which the two differ, with both values."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields}
        return {name: pair for name, pair in pairs.items() if name not in _NOT_CONTENT and pair[0] != pair[1]}
