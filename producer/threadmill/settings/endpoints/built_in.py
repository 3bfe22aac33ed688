"""The endpoints that exist without being configured."""

import os
from collections.abc import Mapping
from typing import Any

from threadmill.settings.endpoints.endpoint import EndpointKind

#: Variables of the providers' own tools that set the address of an endpoint.
BASE_URL_VARIABLES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_OPENAI_ENDPOINT"}


def with_built_in(endpoints: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the emulator, and the providers whose keys are set, to the tables in [endpoints].

    Sets the `kind` of an endpoint that is named like one.
    """
    built_in: dict[str, dict[str, Any]] = {"emulator": {}}
    if os.environ.get("DAVINCI_API_KEY"):
        built_in["davinci"] = {}
    if os.environ.get("OPENAI_API_KEY"):
        base_url = os.environ.get(BASE_URL_VARIABLES["openai"])
        built_in["openai"] = {"kind": EndpointKind.RESPONSES} | ({"base_url": base_url} if base_url else {})
    if (base_url := os.environ.get(BASE_URL_VARIABLES["azure"])) and os.environ.get("AZURE_OPENAI_API_KEY"):
        built_in["azure"] = {"base_url": base_url}
    return {
        name: _kind_of(name) | built_in.get(name, {}) | fields if isinstance(fields, dict) else fields
        for name, fields in (built_in | dict(endpoints)).items()
    }


def _kind_of(name: str) -> dict[str, str]:
    return {"kind": name} if name in list(EndpointKind) else {}
