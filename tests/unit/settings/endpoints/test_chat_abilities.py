"""What servers of Chat Completions lack is refused before a job is enqueued, with what to use instead."""

from typing import Any

import pytest

from threadmill.errors import InvalidJob
from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.abilities import check_abilities
from threadmill.settings.endpoints.endpoint import Endpoint

FUNCTION = {"type": "function", "function": {"name": "weigh"}}


def check(job: dict[str, Any], **fields: Any) -> None:
    endpoint = Endpoint.model_validate({"kind": "chat", "base_url": "http://x/v1", "model": "m", **fields})
    check_abilities("local", endpoint, PromptJob.parse({"prompt": "Why?"} | job))


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"assistant": "asst_1"}, "`assistant`: .* store no assistants; name a `profile`"),
        ({"files": ["a.pdf"]}, "`files`: .* takes no files; put their text into the prompt"),
        ({"tools": ["file_search"]}, "`tools`: .* has no file_search; use function, HTTP and MCP tools"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "`tools`: .* has no web_search"),
        (
            {"messages": [{"content": [{"type": "image_file", "image_file": {"file_id": "file-1"}}]}]},
            "`messages`: .* no images by id; give the image's path or URL",
        ),
        ({"lane": "within-8h"}, "`lane`: .* do not work in the background, as within-8h requires; use flex"),
        ({"lane": "batch"}, r"`lane`: .* has no batches; .* batches = true in \[endpoints.local.supports\]"),
        ({"max_prompt_tokens": 500}, "`max_prompt_tokens`: .* shorten the prompt"),
        ({"truncation": {"type": "auto"}}, "`truncation`: .* send fewer messages"),
    ],
)
def test_what_such_a_server_lacks_is_refused(job, reason):
    with pytest.raises(InvalidJob, match=reason) as raised:
        check(job)
    assert "endpoint 'local'" in str(raised.value)


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"tools": ["weigh", FUNCTION]},
        {"images": ["a.png", "https://example.com/b.png"]},
        {"lane": "flex"},
        {"max_completion_tokens": 1},
        {"truncation": {"type": "disabled"}},
        {"keep_thread": True, "stream": True, "include_steps": True, "response_format": {"type": "json_object"}},
    ],
)
def test_what_such_a_server_has_is_accepted(job):
    check(job)


@pytest.mark.parametrize("fields", [{"supports": {"batches": True}}, {"lane_fallback": "full_price"}])
def test_the_batch_lane_needs_batches_or_the_full_price(fields):
    check({"lane": "batch"}, **fields)


def test_files_are_refused_whatever_the_settings_say():
    with pytest.raises(InvalidJob, match="takes no files"):
        check({"files": ["a.pdf"]}, supports={"files": True})
