"""Names from outside: what may become part of a key, a path or a URL, and what may not."""

import pytest
from pydantic import ValidationError

from threadmill.job.prompt import PromptJob
from threadmill.names import is_job_id, is_name, is_thread_id
from threadmill.settings.settings import Settings


@pytest.mark.parametrize(
    "job_id", ["7", "nightly-2026-01-01", "a.b_c", "0b5c2a6e-58c5-4a5e-9ad0-8a1d2a2f7d0f", "x" * 200]
)
def test_an_id_of_plain_characters_is_a_job_id(job_id):
    assert is_job_id(job_id)


@pytest.mark.parametrize(
    "job_id",
    ["", ".", "..", "../../x", "a/b", "a\\b", "X:events", "X\n", "-x", ".partial", "é", "x" * 201, None, 7, ["x"]],
)
def test_an_id_that_could_address_something_else_is_refused(job_id):
    assert not is_job_id(job_id)


@pytest.mark.parametrize(
    "thread", ["../files/file-1", "a/b", "thread_1?x=1", "thread_1#x", "..", "thread 1", "x:y", "x\n"]
)
def test_a_thread_id_that_would_lead_elsewhere_on_the_server_is_refused(thread):
    with pytest.raises(ValidationError, match="thread"):
        PromptJob(prompt="Well?", thread=thread)


@pytest.mark.parametrize("thread", ["thread_abc123", "conv_68-x", "resp_bGl0ZWxsbTo=", "resp_" + "x" * 400])
def test_the_ids_that_servers_give_to_threads_are_accepted(thread):
    assert PromptJob(prompt="Well?", thread=thread).thread == thread


@pytest.mark.parametrize("name", ["a/b", "a:b", "", "a b"])
def test_an_endpoint_has_no_name_that_would_mix_up_keys(name):
    with pytest.raises(ValidationError, match="endpoints"):
        Settings.model_validate({"endpoints": {name: {"base_url": "http://127.0.0.1:1", "api_key_env": "KEY"}}})


def test_a_name_and_a_thread_id_have_a_longest_length():
    longest = PromptJob(prompt="Well?", batch="x" * 200, thread="x" * 512)
    assert is_name(longest.batch)
    assert is_thread_id(longest.thread)
    for field, value in {"batch": "x" * 201, "tenant": "x" * 201, "thread": "x" * 513}.items():
        with pytest.raises(ValidationError, match=field):
            PromptJob.model_validate({"prompt": "Well?", field: value})
    assert not is_name("x" * 201)
    assert not is_thread_id("x" * 513)
