"""The client of an endpoint, with its connection pools, timeouts and key."""

import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI

from threadmill.errors import SettingsError
from threadmill.installation import install_command
from threadmill.secrets.redaction import REDACTOR
from threadmill.settings.endpoints.endpoint import Endpoint, EndpointKind
from threadmill_worker.drivers.http.bodies import BoundedClient
from threadmill_worker.drivers.http.calls import Http

#: The only server that receives an organisation and a project.
_OPENAI = "https://api.openai.com/"

#: learn.microsoft.com/azure/ai-services/openai/how-to/managed-identity
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"

# beta.threads and beta.assistants work with every server that still has the API.
warnings.filterwarnings("ignore", message="The Assistants API is deprecated", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="deprecated$", category=DeprecationWarning)


@dataclass(frozen=True)
class Client:
    """`http` makes the calls of runs, `sdk` the rare ones: files, vector stores, batches, assistants."""

    sdk: AsyncOpenAI
    http: Http

    async def close(self) -> None:
        await self.sdk.close()
        await self.http.close()


def connect(endpoint: Endpoint, variable: str | None = None) -> Client:
    """Returns a client for the endpoint. It connects on first use. The key is read from the environment.

    `variable`: the one that holds the key; default: the first of the endpoint's.
    """
    key = endpoint.read_key(variable) or "none"  # the SDK requires a key; a server without keys ignores it
    if endpoint.kind is EndpointKind.AZURE:
        return _connect_azure(endpoint, key)
    sdk = AsyncOpenAI(base_url=endpoint.base_url, api_key=key, **_options(endpoint))
    if not endpoint.base_url.startswith(_OPENAI):
        _forget_owner(sdk)
    headers = {
        "Authorization": f"Bearer {key}",
        "OpenAI-Organization": sdk.organization,
        "OpenAI-Project": sdk.project,
    }
    return Client(sdk, Http(endpoint, str(sdk.base_url), {name: value for name, value in headers.items() if value}))


def _connect_azure(endpoint: Endpoint, key: str) -> Client:
    tokens = _ad_tokens() if endpoint.entra_auth else None
    auth: dict[str, Any] = {"azure_ad_token_provider": tokens} if tokens else {"api_key": key}
    sdk = AsyncAzureOpenAI(
        azure_endpoint=endpoint.base_url, api_version=endpoint.api_version, **auth, **_options(endpoint)
    )
    _forget_owner(sdk)
    headers = {} if tokens else {"api-key": key}
    query = {"api-version": endpoint.api_version} if endpoint.api_version else {}
    return Client(sdk, Http(endpoint, str(sdk.base_url), headers, query, tokens))


def _options(endpoint: Endpoint) -> dict[str, Any]:
    timeout = httpx2.Timeout(
        connect=endpoint.connect_timeout_s,
        read=endpoint.request_timeout_s,
        write=endpoint.request_timeout_s,
        pool=endpoint.request_timeout_s,
    )
    limits = httpx2.Limits(max_connections=endpoint.max_connections, max_keepalive_connections=endpoint.max_connections)
    return {
        # A POST that the SDK repeats may start a second run: the lifecycle decides what to repeat.
        "max_retries": 0,
        "timeout": timeout,
        # A redirected POST turns into a GET without its body.
        "http_client": BoundedClient(
            endpoint.reply_limit_bytes, timeout=timeout, limits=limits, follow_redirects=False
        ),
    }


def _forget_owner(sdk: AsyncOpenAI) -> None:
    """The SDK takes these from the environment and would send them to any server."""
    sdk.organization = sdk.project = None


def _ad_tokens() -> Callable[[], Awaitable[str]]:
    """Returns a provider of Entra ID tokens for Azure OpenAI. azure-identity finds the credentials."""
    try:
        from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider
    except ImportError:
        raise SettingsError(f"entra_auth needs azure-identity: {install_command('azure')}") from None
    provider: Callable[[], Awaitable[str]] = get_bearer_token_provider(DefaultAzureCredential(), _AZURE_SCOPE)
    current = ""

    async def redacted() -> str:
        nonlocal current
        token = await provider()
        if token != current:  # the last one has expired
            REDACTOR.register(token)
            REDACTOR.forget(current)
            current = token
        return token

    return redacted
