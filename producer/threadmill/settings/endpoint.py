"""A named server: what each kind takes for granted, and what the settings may say otherwise."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator, model_validator

from threadmill.settings import credentials
from threadmill.settings.limits import Policy


class EndpointKind(StrEnum):
    ASSISTANTS = "assistants"  #: any Assistants-compatible server; tools run in our worker
    DAVINCI = "davinci"  #: MediaTek DaVinci; tools we do not have run through its plugin API
    AZURE = "azure"  #: Azure OpenAI's classic Assistants; base_url is the resource's, without a path
    RESPONSES = "responses"  #: OpenAI, Azure's v1, and others that speak the Responses API; no remote assistants
    EMULATOR = "emulator"  #: our own server, which behaves as DaVinci does


#: What each kind takes for granted; a field given in the settings wins.
_KIND_DEFAULTS: dict[EndpointKind, dict[str, Any]] = {
    EndpointKind.ASSISTANTS: {},
    EndpointKind.DAVINCI: {
        "base_url": "https://prod.dvcbot.net/api/assts/v1",
        "api_key_env": "DAVINCI_API_KEY",
        "plugins": True,
        "data_urls": True,
        "files": False,  # not documented; set it where the server takes them
        "time_note": "The current time is: %Y-%m-%d %H:%M:%S",
    },
    EndpointKind.AZURE: {
        "api_key_env": "AZURE_OPENAI_API_KEY",
        "api_version": "2024-05-01-preview",
    },
    EndpointKind.RESPONSES: {
        "wire": "responses",
        "base_url": "https://api.openai.com/v1",
        "api_key_env": "OPENAI_API_KEY",
        "data_urls": True,
        "expires_after": True,
    },
    EndpointKind.EMULATOR: {
        "base_url": "http://127.0.0.1:8089/api/assts/v1",
        "assistant": "asst_emulator",
        "plugins": True,
        "data_urls": True,
        "expires_after": True,
    },
}


#: What each wire format takes for granted, whatever the kind.
_WIRE_DEFAULTS: dict[str, dict[str, Any]] = {"responses": {"min_token_limit": 16}}


class Endpoint(Policy):
    """A named server: where it is, which variable holds its key, what it can, and how patient we are with it."""

    kind: EndpointKind
    wire: Literal["assistants", "responses"] = "assistants"  #: the format its server speaks
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    api_key_env: str | None = None  #: name of the variable that holds the key; None: a server without keys
    api_version: str | None = None  #: `azure`: the dated version of its API
    ad_token: bool = False  #: `azure`: sign in with Entra ID (azure-identity), in place of a key
    assistant: str | None = None  #: for jobs that name none
    model: str | None = None  #: for jobs that name neither a model nor a profile with one
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None  #: the same
    plugins: bool = False  #: run tools we do not have through `POST /pluginapi`
    data_urls: bool = False  #: takes images as data URLs; else they are uploaded
    files: bool = True  #: takes uploads, and has vector stores
    expires_after: bool = False  #: takes an expiry with an upload: what is lost goes away by itself
    streaming: bool = True  #: can send a run's events as they happen
    create_and_run: bool = False  #: makes thread and run in one call (POST /threads/runs)
    run_id_filter: bool = True  #: lists a run's own messages
    background: bool = True  #: `responses`: works in the background; else a reply comes when the response has ended
    store: bool = True  #: `responses`: asked to store responses; else each round of tools repeats what went before it
    idempotency_keys: bool = False  #: `responses`: answers a POST with a known Idempotency-Key with its first reply
    lists_responses: bool = False  #: `responses`: has GET /responses, which shows their metadata
    time_note: str | None = None  #: strftime text added to each run's additional instructions
    time_zone: Annotated[str, StringConstraints(pattern=r"^[\w/+-]+$")] | None = None  #: of it; default: the worker's
    lane_wait_s: PositiveFloat = 60  #: how long jobs of the batch lane are gathered for one remote batch
    lane_jobs: Annotated[int, Field(gt=0, le=50_000)] = 2000  #: that one remote batch holds at most
    lane_limit_s: PositiveFloat = 172_800  #: how long a job may wait in the batch lane; then it fails as overdue
    connect_timeout_s: PositiveFloat = 5
    reply_limit_bytes: PositiveInt = 32_000_000  #: of one reply, decompressed; files have limits of their own
    max_connections: PositiveInt = 100  #: per worker process
    min_token_limit: PositiveInt = 256  #: the lowest max_prompt_tokens and max_completion_tokens that it accepts
    image_limit: PositiveInt = 10_000_000  #: bytes of one image
    file_limit: PositiveInt = 512_000_000  #: bytes of one file; the API's own limit
    tool_timeout_s: PositiveFloat = 120  #: for one tool call
    tool_output_limit: PositiveInt = 8000  #: characters; the rest is cut with a visible marker

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kind") in list(EndpointKind):
            filled = _KIND_DEFAULTS[EndpointKind(data["kind"])] | data
            return _WIRE_DEFAULTS.get(str(filled.get("wire")), {}) | filled
        return data

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"there is no time zone {name!r}; name one such as Asia/Taipei or UTC") from None
        return name

    def read_key(self) -> str | None:
        """The key in this process's environment, if it has one. Raises SettingsError if no HTTP header can hold it."""
        return credentials.read_header(self.api_key_env) if self.api_key_env and not self.ad_token else None

    def missing_key(self) -> str | None:
        """The variable that should hold the key and does not, in this process. Raises as `read_key` does."""
        return self.api_key_env if self.api_key_env and not self.ad_token and self.read_key() is None else None
