"""Settings from `threadmill.toml` and the environment, read once and passed down.

The environment wins over the file: `THREADMILL_LEASE_S=5`, `THREADMILL_ENDPOINTS__DAVINCI__ASSISTANT=asst_x`.
Settings never hold an API key: an endpoint names the variables with its keys (`api_key_env`).
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from threadmill.errors import InvalidJob, NoEndpoint, SettingsError
from threadmill.job.message import BUILT_IN
from threadmill.job.model import explain
from threadmill.job.prompt import PromptJob
from threadmill.names import Name
from threadmill.redis import url as redis_url
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings import credentials, origins
from threadmill.settings.config_file import CONFIG_NAME, find_config
from threadmill.settings.dashboard import DashboardSettings
from threadmill.settings.endpoints.built_in import with_built_in
from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill.settings.endpoints.limits import Limits, PoolLimits
from threadmill.settings.endpoints.supports import Supports
from threadmill.settings.prices import Prices
from threadmill.settings.processes import number_or_auto
from threadmill.settings.profile import Profile, ProfileName
from threadmill.settings.suggestions import closest
from threadmill.settings.tools import McpSettings, ServerName, ToolName, ToolSettings, server_of

Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(BaseSettings):
    """All settings. Use `Settings.load()` to read them."""

    model_config = SettingsConfigDict(
        env_prefix=origins.PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # REDIS_URL may hold a password
        loc_by_alias=False,  # an error names `redis_url`, not its variable
    )

    redis_url: str = Field(
        default="redis://localhost:6379/0",
        validation_alias=AliasChoices("THREADMILL_REDIS_URL", "redis_url"),
        repr=False,  # it may hold a password
    )
    key_prefix: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] = "threadmill"
    queue: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] = "threadmill"
    default_endpoint: str | None = None
    endpoints: dict[Name, Endpoint] = Field(default={}, validate_default=True)
    profiles: dict[ProfileName, Profile] = {}
    tools: dict[ToolName, ToolSettings] = {}
    mcp: dict[ServerName, McpSettings] = {}
    prices: Prices = Prices()
    file_roots: tuple[Path, ...] = ()  #: folders from which workers read the local files that jobs name
    artifacts: str = "artifacts"  #: where to store files that the model made: a folder, or a URL for fsspec
    artifact_limit_bytes: PositiveInt = 100_000_000  #: bytes of one artifact
    upload_limit_bytes: PositiveInt = 512 * 1024**2  #: bytes of one upload
    dashboard: DashboardSettings = DashboardSettings()
    reports: Path = Path("reports")  #: folder of the definitions of reports, and of their results
    concurrency: PositiveInt = 100  #: jobs that one worker process runs at a time
    processes: int | Literal["auto"] = 1  #: worker processes that `threadmill worker` starts; "auto": one per core
    tool_threads: PositiveInt = 100  #: calls of sync function tools that one worker runs at a time
    lease_s: PositiveFloat = 30  #: the lease of a job expires unless it is renewed within this time
    blocked_limit_s: PositiveFloat = 60  #: a worker exits if its event loop is blocked for this long
    sweep_interval_s: PositiveFloat = 5  #: interval of the sweep for expired leases, lost messages and leftovers
    max_attempts: PositiveInt = 3  #: a job fails after so many processes in a row died while they ran it
    cleanup_attempts: PositiveInt = 10  #: attempts to delete a remote object; then it is only listed
    idle_restart_s: PositiveFloat = 120  #: a worker exits if it gets no job for this long although jobs wait
    deaf_limit_s: PositiveFloat = 15  #: a worker is deaf if its consumer takes no messages for this long
    worker_health_port: Port | None = None  #: where workers answer probes: /livez, /readyz
    worker_metrics_port: Port | None = None  #: where workers have /metrics; it may be the same port
    worker_monitoring_host: str = "0.0.0.0"  #: the address of these ports; `::` for IPv6 too
    result_ttl_s: PositiveInt = 7 * 86400  #: how long a succeeded job is kept
    failed_ttl_s: PositiveInt = 30 * 86400  #: how long a failed or cancelled job is kept
    thread_ttl_s: PositiveInt = 30 * 86400  #: how long a local thread is kept after the last job on it
    callback_hosts: tuple[str, ...] = ()  #: hosts and networks (CIDR) that callbacks may reach although not public
    celery_results: bool = False  #: whether jobs of threadmill's client have a copy of their result for Celery, too
    redis_outage_tolerance_s: PositiveFloat = 600  #: for how long workers and waiting producers retry

    @classmethod
    def load(cls) -> Self:
        """Reads the file and the environment. Raises SettingsError, which names the setting and the remedy."""
        file = find_config()
        tables = {name: isinstance(field.default, dict | BaseModel) for name, field in cls.model_fields.items()}
        if mistakes := origins.unknown(os.environ, tables):
            raise SettingsError(f"{'; '.join(mistakes)}: correct or unset it")
        try:
            return cls()
        except ValidationError as error:
            where = [origins.variable_of(problem["loc"], os.environ) for problem in error.errors()]
            sources = dict.fromkeys(variable or str(file or "the environment") for variable in where)
            raise SettingsError(f"{explain(error, _suggestion)} (settings from {', '.join(sources)})") from None
        except UnreadableVariable as error:
            raise SettingsError(_not_json(error)) from None
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise SettingsError(f"{file} is not valid TOML: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=find_config())

    @field_validator("redis_url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        REDACTOR.register_url(url)
        return redis_url.check(url)

    @field_validator("processes", mode="before")
    @classmethod
    def _number_or_auto(cls, processes: object) -> int | Literal["auto"]:
        return number_or_auto(processes)

    @field_validator("endpoints", mode="before")
    @classmethod
    def _built_in(cls, endpoints: Any) -> Any:
        return with_built_in(endpoints) if isinstance(endpoints, dict) else endpoints

    @model_validator(mode="after")
    def _known_secrets(self) -> Self:
        """Registers all secrets for redaction before the first call, because a reply may hold another server's."""
        tools = (*self.tools.values(), *self.mcp.values())
        urls = (self.artifacts, *(each.base_url for each in self.endpoints.values()))
        for url in (*urls, *(getattr(tool, "url", None) or "" for tool in tools)):
            REDACTOR.register_url(url)
        for tool in tools:
            REDACTOR.register_environment(getattr(tool, "headers", {}))
        for variable in self.secret_variables:
            credentials.read(variable)
        return self

    @model_validator(mode="after")
    def _known_default(self) -> Self:
        if self.default_endpoint is not None and self.default_endpoint not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise ValueError(
                f"default_endpoint is {self.default_endpoint!r}, but the endpoints are {known}; "
                f"add [endpoints.{self.default_endpoint}], or name one of these"
            )
        return self

    @model_validator(mode="after")
    def _known_fallbacks(self) -> Self:
        for name, endpoint in self.endpoints.items():
            for other in endpoint.fallback:
                if other == name:
                    raise ValueError(f"endpoint {name!r} has itself in `fallback`: name other endpoints, or none")
                if other not in self.endpoints:
                    raise ValueError(
                        f"endpoint {name!r} has {other!r} in `fallback`, but the endpoints are "
                        f"{', '.join(self.endpoints)}; add [endpoints.{other}], or name one of these"
                    )
        return self

    @model_validator(mode="after")
    def _tools_apart(self) -> Self:
        for name in self.tools:
            server = server_of(name, self.mcp)
            if server is not None:
                raise ValueError(f"tool {name!r} could be one of the MCP server {server!r}: rename either")
        return self

    @property
    def lifetimes_s(self) -> tuple[int, int]:
        """How long a succeeded job and any other job are kept."""
        return self.result_ttl_s, self.failed_ttl_s

    @property
    def secret_variables(self) -> frozenset[str]:
        """Names of the variables with keys of endpoints, secrets of their webhooks, and secrets of tools."""
        keys = (variable for each in self.endpoints.values() for variable in each.key_variables)
        tools = (*self.tools.values(), *self.mcp.values())
        headers = (variable for tool in tools for variable in getattr(tool, "headers_env", {}).values())
        webhooks = (each.webhook_secret_env for each in self.endpoints.values() if each.webhook_secret_env)
        return frozenset(keys).union(headers, webhooks, *(server.env for server in self.mcp.values()))

    def check_keys(self) -> None:
        """Raises SettingsError if an endpoint's key is invalid in a header. A key may be unset."""
        for name in self.endpoints:
            self.missing_key(name)

    def missing_key(self, name: str) -> str | None:
        """Returns the variable that should hold an endpoint's key and does not. Raises SettingsError for a bad key."""
        try:
            return self.endpoints[name].missing_key()
        except SettingsError as error:
            raise SettingsError(f"endpoint {name!r}: {error}") from None

    def check_tool(self, name: str) -> None:
        """Raises InvalidJob if neither [tools] nor a server in [mcp] can have the tool. Workers check the rest."""
        if name not in (*BUILT_IN, *self.tools) and server_of(name, self.mcp) is None:
            known = ", ".join([*BUILT_IN, *sorted(self.tools), *sorted(self.mcp)])
            raise InvalidJob(
                f'there is no tool {name!r} (known: {known}); add {name} = "module:function" to [tools], '
                "or the MCP server that has it to [mcp]"
            )

    def require_key(self, name: str) -> None:
        """Raises SettingsError if the endpoint's key is unset in this process, or invalid in a header."""
        variable = self.missing_key(name)
        if variable:
            raise SettingsError(
                f"endpoint {name!r} needs its key in {variable}, which is not set: export {variable}=..."
            )

    def endpoint_name(self, asked: str | None) -> str:
        """Returns the name of a job's endpoint. Raises SettingsError if there is no such endpoint."""
        if asked is not None:
            if asked not in self.endpoints:
                raise SettingsError(
                    f"there is no endpoint {asked!r}; the settings have {', '.join(sorted(self.endpoints))}. "
                    f"Add [endpoints.{asked}] to {CONFIG_NAME}"
                )
            return asked
        if usual := self.usual_endpoint():
            return usual
        if own := self._own_endpoints():
            raise SettingsError(
                f"which endpoint? There are {', '.join(sorted(own))}: name one, or set default_endpoint"
            )
        raise NoEndpoint(CONFIG_NAME)

    def model_of(self, job: PromptJob, endpoint: Endpoint) -> str | None:
        """Returns the model of a job's runs, as far as the settings name it."""
        profile = self.profiles.get(job.profile or "")
        return job.model or (profile and profile.model) or endpoint.model

    def instructions_of(self, job: PromptJob, endpoint: Endpoint) -> str | None:
        """Returns the instructions of a job's runs, as far as the settings have them."""
        profile = self.profiles.get(job.profile or "")
        return job.instructions or (profile and profile.instructions) or endpoint.instructions

    def usual_endpoint(self) -> str | None:
        """Returns the endpoint of jobs that name none: `default_endpoint`, or the only one, or None."""
        own = self._own_endpoints()
        return self.default_endpoint or (own[0] if len(own) == 1 else None)

    def _own_endpoints(self) -> list[str]:
        return [name for name in self.endpoints if name != "emulator"]


def _suggestion(path: tuple[int | str, ...]) -> str:
    """Returns ` (did you mean ...?)` for an unknown setting; '' if none is similar."""
    match path:
        case (name,):
            known = {field: field for field in Settings.model_fields}
        case ("endpoints", _, name):
            known = {field: f"supports.{field}" for field in Supports.model_fields}
            known |= {field: f"limits.{field}" for field in Limits.model_fields}
            known |= {field: field for field in Endpoint.model_fields}
        case ("endpoints", _, "supports", name):
            known = {field: field for field in Supports.model_fields}
        case ("endpoints", _, "limits", name):
            known = {field: field for field in Limits.model_fields}
        case ("endpoints", _, "limits", "models", _, name):
            known = {field: field for field in PoolLimits.model_fields}
        case _:
            return ""
    found = closest(str(name), known)
    return f" (did you mean `{'.'.join(map(str, (*path[:-1], known[found])))}`?)" if found else ""


def _not_json(error: UnreadableVariable) -> str:
    """Adds the variable's name to an error, because the library names only the field."""
    field = re.search(r'field "(\w+)"', str(error))
    variable = origins.variable_of([field[1]], os.environ) if field else None
    return f"{variable or 'a variable'} is not valid JSON: write " + 'a list as ["..."], a table as {"name": ...}'
