"""The job as a caller writes it. result.py has the result.

A producer refuses a job with an unknown field. A worker that is older than the producer leaves a job with unknown
fields to newer workers (`PromptJob.read`), because it could not honour them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from threadmill.errors import InvalidJob
from threadmill.job.callback import Callback, CallbackFormat, CallbackUrl, SecretVariable
from threadmill.job.json.value import JsonObject
from threadmill.job.lanes import LaneName, TierName, discount_of, window_of
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
    is_upload,
    upload_of,
)
from threadmill.job.model import Duration, InputModel, Metadata, Moment, explain
from threadmill.names import Name, ThreadId
from threadmill.stored import unknown_fields

#: Characters of the input in a job's summary.
_SUMMARY_LENGTH = 200

#: Default `timeout_s` of a job whose lane has no other default.
_TIMEOUT_S = 1800.0

#: Fields that identify a job or say when it starts, and are not part of its content.
_NOT_CONTENT = {"key", "batch", "priority", "tenant", "start_at", "delay_s", "document"}

#: A name or an id. The limit of its length also refuses half characters, which could not be stored.
Line = Annotated[str, StringConstraints(max_length=10_000)]

Priority = Literal["high", "normal", "low"]


class PromptJob(InputModel):
    """One prompt with its options. Only the input is required.

    `prompt` is short for one user message and `images` for images in that message, which follows `messages`.
    `timeout_s` limits the execution, from the first claim; the default is 1800 seconds, or the default of the lane.
    `start_at` and `deadline_at` are times by Redis' clock; the deadline includes the time in the queue. `key` is the
    idempotency key: the same key always returns the same job. The limits of fields are those of the Assistants API
    (POST /threads, /runs).
    """

    prompt: Text | None = None
    messages: tuple[Message, ...] = ()
    images: tuple[ImageSource, ...] = ()
    files: tuple[FileInput, ...] = Field(default=(), max_length=20)
    endpoint: Line | None = None  #: name in the settings; default: `default_endpoint`
    assistant: Line | None = None  #: remote id; default: the profile's, else the endpoint's
    profile: Line | None = None  #: name of a profile that has been applied to the endpoint
    thread: ThreadId | None = None  #: continue this remote thread
    keep_thread: bool = False  #: keep the thread for later jobs; the result has its id
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    additional_instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None
    model: Line | None = None
    #: Names from the settings' [tools], or tool definitions in the server's own form.
    tools: tuple[Line | JsonObject, ...] | None = Field(default=None, max_length=20)
    tool_choice: Line | JsonObject | None = None
    response_format: Line | JsonObject | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_prompt_tokens: PositiveInt | None = None  #: this and the next: at least the endpoint's `min_token_limit`
    max_completion_tokens: PositiveInt | None = None
    truncation: JsonObject | None = None  #: the server's `truncation_strategy`
    parallel_tool_calls: bool | None = None
    #: Chat Completions: equal requests with equal seeds get equal answers, as far as possible.
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    service_tier: TierName | None = None  #: faster processing at a higher price; not together with a lane
    include_steps: bool = False  #: add the steps of the run, such as code and its logs, to the result
    stream: bool = False  #: publish the text as the model writes it, for `threadmill jobs follow`
    lane: LaneName | None = None  #: run at a lower price, which takes longer
    metadata: Metadata = Field(default={})
    key: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    timeout_s: Duration | None = None
    deadline_at: Moment | None = None
    batch: Name | None = None
    priority: Priority = "normal"  #: a free slot goes to a ready job of the highest priority
    tenant: Name | None = None  #: on whose behalf; tenants get equal shares of the slots; default: the batch
    start_at: Moment | None = None  #: start no earlier than this; default: as soon as a slot is free
    delay_s: Duration | None = None  #: the same, from enqueue
    callback_url: CallbackUrl | None = None  #: workers send a POST request to it when the job has ended
    callback_secret_env: SecretVariable | None = None  #: variable of the workers with the secret that signs it
    callback_format: CallbackFormat = "webhook"
    document: Line | None = None  #: the name of the document that it is about, for lists and pages; not sent

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, prompt: str | None) -> str | None:
        if prompt is not None and not prompt.strip():
            raise ValueError("is blank; write a prompt")
        return prompt

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if not self.conversation:
            raise ValueError("a job needs `prompt`, `messages` or `images`")
        return self

    @model_validator(mode="after")
    def _starts_once_and_in_time(self) -> Self:
        if self.start_at is not None and self.delay_s is not None:
            raise ValueError("a job starts at `start_at` or after `delay_s`: leave one of them out")
        if self.start_at is not None and self.deadline_at is not None and self.deadline_at <= self.start_at:
            raise ValueError("`deadline_at` is not after `start_at`: the job could not run; move one of them")
        return self

    @model_validator(mode="after")
    def _fits_its_lane(self) -> Self:
        if self.lane == "batch":
            for name in ("tools", "files", "thread", "keep_thread", "stream"):
                if getattr(self, name):
                    raise ValueError(f"the batch lane takes single questions: leave out `{name}`, or `lane`")
        if window_of(self.lane) is not None and self.stream:
            raise ValueError(f"the lane {self.lane} does not stream: leave out `stream`, or use the lane flex")
        if self.lane is not None and self.service_tier is not None:
            raise ValueError(
                f"a lane is cheaper and slower, the service tier {self.service_tier} is faster and costs more: "
                "leave out `lane` or `service_tier`"
            )
        return self

    @model_validator(mode="after")
    def _has_a_receiver(self) -> Self:
        if self.callback_url is None and (self.callback_secret_env or self.callback_format != "webhook"):
            raise ValueError(
                "`callback_secret_env` and `callback_format` need `callback_url`: add it, or leave them out"
            )
        return self

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Returns a job from a caller's data. Raises InvalidJob, which names each wrong field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidJob(explain(error)) from None

    @classmethod
    def read(cls, data: str) -> tuple[Self, tuple[str, ...]]:
        """Returns a job from its record, and the names of fields that only a newer version knows."""
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
    def callback(self) -> Callback | None:
        """The receiver of its callback; None if it has none."""
        if self.callback_url is None:
            return None
        return Callback(url=self.callback_url, secret_env=self.callback_secret_env, format=self.callback_format)

    @property
    def time_limit_s(self) -> float:
        """Seconds from the first claim to the job's deadline."""
        if self.timeout_s is not None:
            return self.timeout_s
        discount = discount_of(self.lane)
        return discount.timeout_s if discount is not None else _TIMEOUT_S

    @property
    def priced_as(self) -> str | None:
        """What decides the price of its runs: its lane or its service tier. None: they cost the ordinary price."""
        return self.lane or self.service_tier

    @property
    def image_sources(self) -> tuple[str, ...]:
        """The paths, URLs and data URLs of the images, in order and without duplicates."""
        return tuple(dict.fromkeys(image for message in self.conversation for image in message.images))

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of its local images and files."""
        images = (image for image in self.image_sources if is_path(image))
        return (*images, *(file.path for file in self.files if file.path is not None))

    @property
    def uploads(self) -> tuple[str, ...]:
        """The ids of the uploads that are its images and files, without duplicates."""
        images = (upload_of(image) for image in self.image_sources if is_upload(image))
        return tuple(dict.fromkeys((*images, *(file.upload for file in self.files if file.upload is not None))))

    def at(self, folder: Path) -> Self:
        """Returns a copy in which all local paths are absolute; relative paths start at `folder`."""
        return self.model_copy(
            update={
                "messages": tuple(message.at(folder) for message in self.messages),
                "images": tuple(absolute(image, folder) if is_path(image) else image for image in self.images),
                "files": tuple(file.at(folder) for file in self.files),
            }
        )

    @property
    def summary(self) -> Self:
        """A copy with only the beginning of the input, to recognise a job that will not run again."""
        text = "\n".join(message.text for message in self.conversation)
        short = text if len(text) <= _SUMMARY_LENGTH else f"{text[:_SUMMARY_LENGTH]}..."
        return self.model_copy(update={"prompt": short or "-", "messages": (), "images": ()})

    @property
    def digest(self) -> str:
        """Fingerprint of the content; jobs with the same idempotency key must have the same."""
        content = self.model_dump_json(exclude=_NOT_CONTENT, exclude_defaults=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def differences(self, other: Self) -> dict[str, tuple[object, object]]:
        """Returns the content fields in which two jobs differ, with both values."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields}
        return {name: pair for name, pair in pairs.items() if name not in _NOT_CONTENT and pair[0] != pair[1]}
