"""The name of a new endpoint and the variable with its key: what to propose, and what to refuse. PURE but for the
environment, whose variables tell a name from a key."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from threadmill.errors import SettingsError
from threadmill.names import NAME_RULE, is_name
from threadmill.secrets.redaction import REDACTOR

#: Names of endpoints and variables of their keys, by the end of the host.
_KNOWN = {
    "api.openai.com": ("openai", "OPENAI_API_KEY"),
    "api.anthropic.com": ("anthropic", "ANTHROPIC_API_KEY"),
    "generativelanguage.googleapis.com": ("gemini", "GEMINI_API_KEY"),
    "openai.azure.com": ("azure-v1", "AZURE_OPENAI_API_KEY"),
    "services.ai.azure.com": ("azure-v1", "AZURE_OPENAI_API_KEY"),
    "prod.dvcbot.net": ("davinci", "DAVINCI_API_KEY"),
}

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: How keys begin that consist of letters, digits and underscores alone, as names do: Groq, Hugging Face, Google,
#: GitHub, Replicate, threadmill.
_KEY_STARTS = ("sk_", "sk-", "gsk_", "hf_", "AIza", "ghp_", "github_pat_", "r8_", "tm_", "xai-", "pplx-", "nvapi-")

#: The shortest random text without words that counts as a key.
_KEY_LENGTH = 20


def is_url(text: str) -> bool:
    """Whether an argument is a URL rather than the name of an endpoint."""
    return "://" in text


def check_url(url: str) -> str:
    """Returns the URL. Raises SettingsError if it is none, or contains a secret, which would get into a file."""
    parts = urlsplit(url) if re.fullmatch(r"https?://\S+", url) else None
    if parts is None or not parts.hostname:
        raise SettingsError("this is not the URL of a server: it begins with http:// or https://, then the host")
    if parts.username or parts.password or parts.query or parts.fragment:
        REDACTOR.register_url(url)
        raise SettingsError(
            f"the URL of {parts.hostname} contains a user, a password or a query: leave them out, because settings "
            "hold no secrets; the key comes from a variable (--key-env)"
        )
    return url


def check_variable(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the name of a variable. Raises SettingsError, which does not repeat the text, if it looks like a key."""
    if variable in environment:
        return variable
    if _is_key(variable):
        REDACTOR.register(variable)
        raise SettingsError(
            "this looks like a key, and not like the name of a variable. A key belongs into a variable of the "
            "environment, not into a file or a command line, where others can read it. Export it "
            "(export SERVER_API_KEY=...), and give that name"
        )
    if not _VARIABLE.fullmatch(variable):
        raise SettingsError("the name of a variable has letters, digits and `_`, such as SERVER_API_KEY")
    return variable


def check_name(name: str) -> str:
    """Returns the name of an endpoint. Raises SettingsError."""
    if not is_name(name):
        raise SettingsError(f"{name!r} cannot be the name of an endpoint: {NAME_RULE}")
    return name


def name_for(url: str) -> str:
    """Returns a name for the endpoint of a server: the part of its host that says most."""
    host = urlsplit(url).hostname or ""
    if known := _known(host):
        return known[0]
    if re.fullmatch(r"[\d.]+|\[?[\da-f:]+\]?|localhost", host):
        return "local"
    words = [word for word in host.split(".")[:-1] or [host] if word not in ("api", "www")]
    return re.sub(r"[^\w-]", "-", words[-1] if words else host) or "server"


def variable_for(url: str) -> str | None:
    """Returns the variable that usually holds the key of a known server."""
    known = _known(urlsplit(url).hostname or "")
    return known[1] if known else None


def _known(host: str) -> tuple[str, str] | None:
    return next((both for end, both in _KNOWN.items() if host == end or host.endswith(f".{end}")), None)


def _is_key(text: str) -> bool:
    if text.startswith(_KEY_STARTS):
        return True
    is_mixed = any(char.isdigit() for char in text) and any(char.islower() for char in text)
    return len(text) >= _KEY_LENGTH and is_mixed
