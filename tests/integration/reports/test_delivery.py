"""Deliveries by webhook, to servers of the test."""

import pytest

from threadmill.reports.delivery.channel import Notification, deliver
from threadmill.reports.delivery.webhook import Webhook
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

PARCEL = Notification(
    "daily/2026-11-20", "News of today 今日", "# News", "<h1>News</h1>", {"report": "daily", "tokens": 7}
)


@pytest.fixture
def pauses():
    return []


def test_a_webhook_gets_the_report_and_the_same_key_each_time(hook, pauses, monkeypatch):
    monkeypatch.setenv("HOOK_URL", hook.url)
    monkeypatch.setenv("HOOK_TOKEN", "t0ken")
    hook.answers = [503, 429]

    assert deliver(Webhook(url_env="HOOK_URL", token_env="HOOK_TOKEN"), PARCEL, pauses.append) is None

    assert pauses == [1, 2]
    assert hook.keys() == ["daily/2026-11-20"] * 3
    headers, body = hook.requests[-1]
    assert headers["authorization"] == "Bearer t0ken"
    assert body == {"report": "daily", "tokens": 7, "title": "News of today 今日", "markdown": "# News"}


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (302, 1), (500, 4)])
def test_a_webhook_is_retried_only_after_temporary_failures(hook, pauses, code, tries):
    hook.answers = [code] * 9

    why = deliver(Webhook(url=hook.url), PARCEL, pauses.append)

    assert why == f"the webhook replied {code}"
    assert (len(hook.requests), len(pauses)) == (tries, tries - 1)


def test_errors_of_a_webhook_do_not_contain_its_url(pauses, monkeypatch):
    nobody = f"http://127.0.0.1:{free_port()}/s3cret"
    monkeypatch.setenv("FILE_URL", "file:///etc/s3cret")

    assert deliver(Webhook(url=nobody), PARCEL, pauses.append) == "the webhook cannot be reached: Connection refused"
    assert deliver(Webhook(url_env="FILE_URL"), PARCEL) == "the webhook's URL is not http:// or https://"
    assert deliver(Webhook(url_env="NOT_SET"), PARCEL) == "the variable NOT_SET is not set: export NOT_SET=..."
