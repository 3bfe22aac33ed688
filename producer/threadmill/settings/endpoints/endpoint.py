"""The settings of an endpoint, with the defaults of each kind."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator, model_validator

from threadmill.names import Name
from threadmill.settings import credentials
from threadmill.settings.endpoints.limits import Limits
from threadmill.settings.endpoints.run_limits import RunLimits


class EndpointKind(StrEnum):
    ASSISTANTS = "assistants"  #: any Assistants-compatible server; tools run in the worker
    DAVINCI = "davinci"  #: MediaTek DaVinci; tools that the worker lacks run through its plugin API
    AZURE = "azure"  #: Azure OpenAI's classic Assistants; base_url is the resource's URL, without a path
    RESPONSES = "responses"  #: OpenAI, Azure's v1, and other servers with the Responses API; no remote assistants
    CHAT = "chat"  #: any server with Chat Completions: vLLM, llama.cpp, Ollama; nothing is stored there
    EMULATOR = "emulator"  #: threadmill's emulator, which behaves like DaVinci


#: The APIs: Assistants, Responses, Chat Completions.
Wire = Literal["assistants", "responses", "chat"]

#: The defaults of each kind; fields in the settings override them.
_KIND_DEFAULTS: dict[EndpointKind, dict[str, Any]] = {
    EndpointKind.ASSISTANTS: {},
    EndpointKind.DAVINCI: {
        "base_url": "https://prod.dvcbot.net/api/assts/v1",
        "api_key_env": "DAVINCI_API_KEY",
        "supports": {"plugins": True, "data_urls": True, "files": False},  # files are not documented
        "current_time_note": "The current time is: %Y-%m-%d %H:%M:%S",
    },
    EndpointKind.AZURE: {
        "api_key_env": "AZURE_OPENAI_API_KEY",
        "api_version": "2024-05-01-preview",
    },
    EndpointKind.RESPONSES: {
        "wire": "responses",
        "base_url": "https://api.openai.com/v1",
        "api_key_env": "OPENAI_API_KEY",
        "supports": {"data_urls": True, "upload_expiry": True},
        "limits": {"per_model": True},
    },
    EndpointKind.CHAT: {
        "wire": "chat",
        "supports": {
            "data_urls": True,
            "files": False,
            "background": False,
            "stored_responses": False,
            "batches": False,
        },
        "limits": {"per_model": True},
    },
    EndpointKind.EMULATOR: {
        "base_url": "http://127.0.0.1:8089/api/assts/v1",
        "assistant": "asst_emulator",
        "supports": {"plugins": True, "data_urls": True, "upload_expiry": True},
    },
}


#: The defaults of each wire.
_WIRE_DEFAULTS: dict[str, dict[str, Any]] = {
    "responses": {"min_token_limit": 16},
    # Each run holds a connection to its end, and a worker may have more than the default number of jobs.
    "chat": {"min_token_limit": 1, "max_connections": 1000},
}


class Endpoint(RunLimits):
    """A server: its address, the variables with its keys, its features and its limits.

    The table of an endpoint is flat, and includes the limits of its runs. Code that needs
    only the limits, such as the worker's lifecycle, takes a RunLimits and gets the endpoint.
    """

    kind: EndpointKind
    wire: Wire = "assistants"  #: the API that its server speaks
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    api_key_env: str | None = None  #: name of the variable that holds the key; None: the server needs no key
    #: Variables with several keys, instead of `api_key_env`. Each key has its own limits on the server.
    api_key_envs: Annotated[tuple[credentials.Variable, ...], Field(min_length=1)] | None = None
    webhook_secret_env: credentials.Variable | None = None  #: variable of the gateway: the secret of its webhooks
    api_version: str | None = None  #: `azure`: the dated version of its API
    entra_auth: bool = False  #: `azure`: sign in with Entra ID (azure-identity) instead of a key
    fallback: tuple[Name, ...] = ()  #: endpoints that may run its jobs while it cannot, in order of preference
    limits: Limits = Limits()  #: what the server allows to all its callers together
    assistant: str | None = None  #: for jobs that name none
    model: str | None = None  #: for jobs that name neither a model nor a profile with one
    instructions: Annotated[str, StringConstraints(max_length=256_000)] | None = None  #: likewise
    current_time_note: str | None = None  #: strftime text added to each run's additional instructions
    current_time_zone: Annotated[str, StringConstraints(pattern=r"^[\w/+-]+$")] | None = None  #: default: the worker's
    batch_lane_wait_s: PositiveFloat = 60  #: how long jobs of the batch lane are collected for one remote batch
    batch_lane_max_jobs: Annotated[int, Field(gt=0, le=50_000)] = 2000  #: the most jobs in one remote batch
    batch_lane_limit_s: PositiveFloat = 172_800  #: how long a job may wait in the batch lane; then it fails as overdue
    connect_timeout_s: PositiveFloat = 5
    reply_limit_bytes: PositiveInt = 32_000_000  #: size of one reply, decompressed; files have their own limits
    max_connections: PositiveInt = 100  #: per worker process and key
    min_token_limit: PositiveInt = 256  #: the lowest max_prompt_tokens and max_completion_tokens that it accepts
    image_limit_bytes: PositiveInt = 10_000_000  #: bytes of one image
    file_limit_bytes: PositiveInt = 512_000_000  #: bytes of one file; the API's own limit
    tool_timeout_s: PositiveFloat = 120  #: for one tool call
    tool_output_limit_chars: PositiveInt = 8000  #: characters; the rest is cut with a visible marker

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Adds the defaults of the kind and the wire. The tables `supports` and `limits` are completed by field."""
        if not isinstance(data, dict) or data.get("kind") not in list(EndpointKind):
            return data
        defaults = _KIND_DEFAULTS[EndpointKind(data["kind"])]
        filled = defaults | data
        for table in ("supports", "limits"):
            if isinstance(filled.get(table), dict):
                filled[table] = defaults.get(table, {}) | filled[table]
        if "api_key_envs" in data and "api_key_env" not in data:
            filled.pop("api_key_env", None)
        return _WIRE_DEFAULTS.get(str(filled.get("wire")), {}) | filled

    @field_validator("current_time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"there is no time zone {name!r}; name one such as Asia/Taipei or UTC") from None
        return name

    @model_validator(mode="after")
    def _one_way_to_name_keys(self) -> Self:
        if self.api_key_env and self.api_key_envs:
            raise ValueError("has both `api_key_env` and `api_key_envs`: leave one of them out")
        if len(set(self.api_key_envs or ())) < len(self.api_key_envs or ()):
            raise ValueError("`api_key_envs` names a variable twice: name each key once")
        return self

    @model_validator(mode="after")
    def _sends_webhooks(self) -> Self:
        if self.webhook_secret_env and self.wire != "responses":
            raise ValueError("`webhook_secret_env`: only servers with the Responses API send webhooks; leave it out")
        return self

    @property
    def has_assistants(self) -> bool:
        """Whether its server stores assistants. Otherwise each job names a model or a profile."""
        return self.wire == "assistants"

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The variables that hold its keys; empty if the server needs none."""
        if self.entra_auth:
            return ()
        return self.api_key_envs or ((self.api_key_env,) if self.api_key_env else ())

    @property
    def first_key(self) -> str | None:
        """The first of several `key_variables`; None: it has at most one, which needs no name in a record."""
        return self.key_variables[0] if len(self.key_variables) > 1 else None

    def read_key(self, variable: str | None = None) -> str | None:
        """Returns a key from the environment, or None. `variable`: which of its `key_variables`; default: the first.

        Raises SettingsError if the key is not valid in an HTTP header.
        """
        variable = variable or next(iter(self.key_variables), None)
        return credentials.read_header(variable) if variable else None

    def missing_key(self) -> str | None:
        """Returns the first variable that should hold a key and does not, or None. Raises SettingsError as `read_key`.

        An endpoint with several keys needs all of them, because a job uses the key whose limits let it start.
        """
        return next((variable for variable in self.key_variables if self.read_key(variable) is None), None)
