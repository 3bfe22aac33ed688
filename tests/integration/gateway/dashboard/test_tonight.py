"""The first page: what runs, what waits, what failed and why."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.pages import text_of

from threadmill.job.callback import Callback
from threadmill.job.result import JobState
from threadmill.store.records.callback import DeliveryState
from threadmill_gateway.dashboard.language import catalogue

pytestmark = pytest.mark.integration

REJECTED = "[[scenario=failed code=invalid_prompt]] <b>Well?</b>"


def section(html: str, name: str) -> str:
    """The text of a part of the page."""
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    assert found, f"the page has no part {name}"
    return text_of(found[0])


async def test_the_first_page_says_what_to_do_first(browser):
    html = await browser.page("/")
    assert "threadmill submit" in section(html, "facts")
    assert "threadmill worker" in section(html, "workers")
    assert "No batch has open jobs" in section(html, "batches")
    assert "No job has failed" in section(html, "failures")
    assert section(html, "alerts") == "Needs attention Nothing."
    assert "emulator not used" in section(html, "endpoints")


async def test_jobs_that_wait_without_a_worker_need_attention(browser, client):
    client.enqueue_many([{"prompt": f"{n}?", "batch": "night"} for n in range(3)])
    client.enqueue({"prompt": "Later?", "delay_s": 3600})
    html = await browser.page("/")
    assert "Waiting 4 1 start later" in section(html, "facts")
    assert "No worker runs, and 4 jobs wait" in section(html, "alerts")
    assert "night" in section(html, "batches")
    assert "0 of 3, 0 running" in section(html, "batches")
    assert "threadmill submit" not in html


async def test_what_failed_leads_to_its_jobs(browser, client, run):
    job = client.enqueue(REJECTED)
    result = await run(job.id)
    assert result.failure is not None
    html = await browser.page("/")
    failures = section(html, "failures")
    assert f"{result.failure.kind} 1 " in failures
    assert f'href="/jobs?failure={result.failure.kind}"' in html
    assert " ".join(result.failure.message.split())[:100] in failures
    assert "<b>" not in html
    assert "Failed 1 in 24 hours" in section(html, "facts")


@pytest.mark.settings(dashboard={"redact": True})
async def test_messages_of_failures_are_hidden_with_redact(browser, client, run):
    result = await run(client.enqueue(REJECTED).id)
    assert result.failure is not None
    failures = section(await browser.page("/"), "failures")
    assert "hidden" in failures
    assert result.failure.message[:40] not in failures


@pytest.mark.settings(prices={"emulator-1": {"prompt": 100.0, "completion": 100.0}})
async def test_tokens_and_their_cost_are_summed_up(browser, client, run):
    result = await run(client.enqueue("Well?").id)
    facts = section(await browser.page("/"), "facts")
    assert f"Tokens {result.usage.total_tokens:,} in 24 hours" in facts
    assert "USD in 24 hours" in facts


async def test_a_paused_endpoint_says_why_and_is_resumed(browser, client):
    await browser.press("/endpoints/emulator/pause", reason="maintenance <until> 6")
    html = await browser.page("/")
    assert "paused : maintenance <until> 6" in section(html, "endpoints")
    assert "paused" in section(html, "alerts")
    await browser.press("/endpoints/emulator/resume")
    assert "paused" not in section(await browser.page("/"), "alerts")


async def test_an_endpoint_that_is_not_there_cannot_be_paused(browser):
    refused = await browser.press("/endpoints/nowhere/pause")
    assert (refused.status_code, "That is not valid" in refused.text) == (422, True)


async def test_leftovers_are_tried_again(browser, client, store, settings):
    left = json.dumps({"endpoint": "emulator", "kind": "thread", "id": "thread_x"})
    store.zadd(f"{settings.key_prefix}:leftovers", {left: float("inf")})
    assert "given up to delete 1 remote objects" in section(await browser.page("/"), "alerts")
    assert (await browser.press("/leftovers/retry")).status_code == 303
    assert [each.due_at is not None for each in client.leftovers()] == [True]


async def test_dead_letters_are_cleared(browser, client, store, settings):
    store.set(f"{settings.key_prefix}:dead_letters:count", 2)
    assert "2 messages could not be delivered" in section(await browser.page("/"), "alerts")
    assert (await browser.press("/dead-letters/clear")).status_code == 303
    assert client.overview(datetime.now(UTC)).dead_letters == 0


async def test_callbacks_that_were_given_up_are_sent_again(browser, client, store, settings):
    hook = Callback.parse({"url": "https://receiver.example/hook"}).model_dump_json()
    ended = {"event": "job.failed", "kind": "job", "subject": "x", "created_at": str(datetime.now(UTC))}
    store.hset(f"{settings.key_prefix}:callback:msg_x", mapping={**ended, "receiver": hook})
    store.zadd(f"{settings.key_prefix}:callbacks:dead", {"msg_x": 1000})
    assert "1 callbacks were given up" in section(await browser.page("/"), "alerts")
    assert (await browser.press("/callbacks/retry")).status_code == 303
    assert [each.id for each in client.callbacks(DeliveryState.PENDING)] == ["msg_x"]


async def test_workers_are_listed_with_what_they_announce(browser, store, settings):
    now = datetime.now(UTC)
    deaf = {"name": "ada@<host>", "seen_at": now.isoformat(), "concurrency": 10, "jobs": 3, "endpoints": ["emulator"]}
    deaf |= {"memory_bytes": 123_000_000, "is_consuming": False, "version": "9.9"}
    store.hset(f"{settings.key_prefix}:workers", deaf["name"], json.dumps(deaf))
    html = await browser.page("/")
    assert "ada@<host> 3 / 10 123 MB 9.9 – deaf" in section(html, "workers")
    assert "ada@<host> is deaf" in section(html, "alerts")
    assert "3 of 10 slots busy" in section(html, "facts")
    assert "ada@<host>" not in html


async def test_reports_are_listed_with_their_next_night(gateway_of, browser_of, settings, tmp_path):
    (tmp_path / "daily.toml").write_text('paths = ["x/*.txt"]\nschedule = "0 6 * * *"\nbudget = {max_cost = 5}\n')
    (tmp_path / "broken.toml").write_text("paths = 1\n")
    here = settings.model_copy(update={"reports": tmp_path, "redis_url": settings.redis_url})
    reports = section(await browser_of(gateway_of(here)).page("/"), "reports")
    assert re.search(r"daily – .*/ 5 .*06:00", reports)
    assert "broken" in reports
    assert "paths" in reports


async def test_the_first_page_speaks_chinese(browser, client):
    client.pause_endpoint("emulator", "維修")
    text = text_of(await browser.page("/?lang=zh-TW")).replace("threadmill", "")
    assert "已暫停 : 維修" in text
    english = [each for each in catalogue("zh-TW").messages if len(each) > 5 and "%(" not in each]
    assert [each for each in english if each.removeprefix("#") in text] == []


def test_the_overview_counts_what_ended_since(client, store, settings):
    now = datetime.now(UTC)
    key = f"{settings.key_prefix}:jobs:{JobState.FAILED}"
    store.zadd(key, {"old": (now - timedelta(days=2)).timestamp(), "new": now.timestamp()})
    client.enqueue("Well?")
    found = client.overview(now - timedelta(days=1))
    assert found.jobs == {JobState.QUEUED: 1, JobState.FAILED: 1}
    assert (found.open, found.delayed, found.leftovers, found.dead_letters) == (1, 0, 0, 0)
