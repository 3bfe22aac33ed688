"""Azure's classic Assistants: another client, other paths, the key in another header."""

import sys
from types import ModuleType
from typing import Any

import pytest

from threadmill.secrets.redaction import redact
from threadmill_worker.drivers.http.client import _ad_tokens

pytestmark = pytest.mark.integration

KEY = "a-key-of-azure"


@pytest.fixture
def settings(make_settings: Any, emulator: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    return make_settings(
        emulator.base_url,
        default_endpoint="azure",
        endpoints={"azure": {"base_url": emulator.url, "assistant": "asst_auto", "first_poll_s": 0.05}},
    )


async def test_a_job_with_files_and_code_runs_there(settings, worker, emulator, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    object.__setattr__(settings, "file_roots", (tmp_path,))
    result = await worker.run(
        "Plot a sine wave",
        files=[{"path": str(tmp_path / "a.csv"), "tools": ["code_interpreter"]}],
        tools=[{"type": "code_interpreter"}],
    )

    assert result.ok, result.failure
    assert len(result.files) == 2
    stats = emulator.stats()
    assert (stats["threads"]["alive"], stats["files"]["alive"]) == (0, 0)
    for request in emulator.requests:
        assert request.query["api-version"] == "2024-05-01-preview"
        assert request.headers["api-key"] == KEY
        assert "authorization" not in request.headers
        assert "secret" not in str(request.headers)


async def test_the_environment_alone_makes_the_endpoint(make_settings, emulator, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    endpoint = make_settings(emulator.base_url).endpoints["azure"]
    assert (endpoint.base_url, endpoint.api_key_env) == ("https://res.openai.azure.com", "AZURE_OPENAI_API_KEY")


async def test_a_token_of_entra_id_is_redacted_until_the_next_one(monkeypatch):
    tokens = iter(["token-of-the-first-hour", "token-of-the-first-hour", "token-of-the-second-hour"])

    async def provider() -> str:
        return next(tokens)

    module = ModuleType("azure.identity.aio")
    vars(module).update(DefaultAzureCredential=object, get_bearer_token_provider=lambda *_: provider)
    monkeypatch.setitem(sys.modules, "azure.identity.aio", module)
    get_token = _ad_tokens()
    for token in ("token-of-the-first-hour", "token-of-the-first-hour", "token-of-the-second-hour"):
        assert await get_token() == token
        assert redact(token) == "[key]"
    assert redact("token-of-the-first-hour") == "token-of-the-first-hour"
