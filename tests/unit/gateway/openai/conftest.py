"""Settings for the translations of OpenAI's objects."""

import pytest

from threadmill import Settings

FIELDS = {
    "default_endpoint": "openai",
    "endpoints": {
        "openai": {"kind": "responses"},
        "davinci": {"kind": "davinci", "assistant": "asst_1"},
        "azure": {"kind": "azure", "base_url": "https://x.openai.azure.com", "assistant": "asst_2"},
    },
    "profiles": {"lawyer": {"model": "gpt-5"}},
    "tools": {"weather": "shop.tools:weather"},
    "mcp": {"files": {"command": ["server"]}},
}


@pytest.fixture
def settings():
    return Settings.model_validate(FIELDS)
