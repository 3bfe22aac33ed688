"""What a worker opens for a job, and what it leaves closed."""

from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill.store.records.job import JobRecord
from threadmill_worker.attempt.context.contexts import Contexts
from threadmill_worker.attempt.context.not_served import NotServed
from threadmill_worker.tools.registry import ToolRegistry


@pytest.mark.parametrize(
    ("endpoint", "job"),
    [
        ({"kind": "emulator", "assistant": None}, {}),  # no assistant is named
        ({"kind": "responses", "model": "m", "api_key_env": None}, {"thread": "t"}),  # nobody knows what was said on it
    ],
    ids=["assistants", "responses"],
)
async def test_a_job_that_is_not_served_leaves_no_event_buffer(endpoint: dict[str, Any], job: dict[str, Any]) -> None:
    fields = {"base_url": "http://127.0.0.1:9", **endpoint}
    settings = Settings.model_validate({"default_endpoint": "e", "endpoints": {"e": fields}})
    live: Any = MagicMock()
    job_store = AsyncMock(kept_thread=AsyncMock(return_value=MagicMock(latest="", transcript=None)))
    contexts = Contexts(settings, ToolRegistry(), job_store, live)
    record: Any = MagicMock(spec=JobRecord, id="1", job=PromptJob(prompt="-", **job), history=[])
    with pytest.raises(NotServed):
        await contexts.open(record)
    live.open.assert_not_called()
    await contexts.close()
