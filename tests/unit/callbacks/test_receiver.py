"""The fields of a job that name its receiver."""

import pytest

from threadmill import InvalidJob, PromptJob


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://shop.example/", "not an http"),
        ("/hook", "not an http"),
        ("https:///hook", "not an http"),
        ("https://user:word@shop.example/", "a user or a password"),
        ("https://shop.example/#part", "a fragment"),
        ("https://shop.example/a b", "a space"),
        ("https://shop.example:99999/", "not a URL"),
        ("https://shop.example/" + "x" * 2000, "2000 characters"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url, why):
    with pytest.raises(InvalidJob, match=why) as error:
        PromptJob.parse({"prompt": "Hi", "callback_url": url})
    assert "word" not in str(error.value).replace("password", "")


def test_a_secret_without_a_url_is_refused():
    with pytest.raises(InvalidJob, match="callback_url"):
        PromptJob.parse({"prompt": "Hi", "callback_secret_env": "SECRET"})


def test_a_job_without_a_callback_keeps_its_digest():
    assert "callback" not in PromptJob(prompt="Hi").model_dump_json(exclude_defaults=True)
