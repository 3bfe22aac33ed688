"""`/threads`: kept threads are listed, read, continued and deleted."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from tests.pages import ACCEPT, csrf_of, text_of

from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def asked(run, client):
    """Asks questions on one thread. Returns the thread's id and the ids of the jobs."""

    async def ask(*prompts):
        thread, ids = None, []
        for prompt in prompts:
            job = {"prompt": prompt, "keep_thread": True} | ({"thread": thread} if thread else {})
            ids.append(client.enqueue(job).id)
            thread = (await run(ids[-1])).thread_id
        return thread, ids

    return ask


async def test_without_threads_the_page_says_how_to_keep_one(http):
    page = await http.get("/threads", headers=ACCEPT)
    assert "threadmill submit PROMPT --keep-thread --wait" in page.text


async def test_threads_are_listed_and_read_in_order(http, asked, client):
    thread, ids = await asked("My name is Ada.", "What is my name?", HOSTILE)
    listed = await http.get("/threads", headers=ACCEPT)
    assert f'href="/threads/emulator/{thread}"' in listed.text
    assert f'href="/jobs/{ids[-1]}"' in listed.text
    page = await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)
    text = text_of(page.text)
    assert text.index("My name is Ada.") < text.index("What is my name?") < text.index("alert(1)")
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert f"threadmill threads show {thread} --endpoint emulator" in page.text
    assert client.thread_jobs(thread, "emulator") == ids


async def test_a_thread_is_continued_in_the_playground(http, asked):
    thread, _ = await asked("My name is Ada.")
    page = (await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)).text
    assert f'href="/playground?endpoint=emulator&amp;thread={thread}"' in page
    form = (await http.get(f"/playground?endpoint=emulator&thread={thread}", headers=ACCEPT)).text
    assert "My name is Ada." in form
    assert f'name="thread" value="{thread}"' in form


async def test_a_thread_is_deleted(http, asked, client):
    thread, _ = await asked("My name is Ada.")
    page = (await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)).text
    assert "Delete this thread on its server" in page
    reply = await http.post(f"/threads/emulator/{thread}/delete", data={"csrf": csrf_of(page)}, headers=ACCEPT)
    assert (reply.status_code, reply.headers["location"]) == (303, "/threads")
    assert client.threads() == []
    assert (await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)).status_code == 404


async def test_a_thread_with_open_jobs_is_deleted_only_by_force(http, asked, client):
    thread, _ = await asked("My name is Ada.")
    waiting = client.enqueue({"prompt": "And now?", "thread": thread}).id
    page = (await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)).text
    assert "And now?" in page
    assert "will fail" in page
    refused = await http.post(f"/threads/emulator/{thread}/delete", data={"csrf": csrf_of(page)}, headers=ACCEPT)
    assert refused.status_code == 409
    assert waiting in refused.text
    forced = {"csrf": csrf_of(page), "force": "yes"}
    assert (await http.post(f"/threads/emulator/{thread}/delete", data=forced)).status_code == 303


async def test_many_threads_come_in_parts(http, asked, client, store, settings):
    thread, _ = await asked("My name is Ada.")
    kept = client.thread(thread, "emulator").model_dump_json()
    copies = {f"emulator/thread_{n}": kept.replace(thread, f"thread_{n}") for n in range(999)}
    store.hset(f"{settings.key_prefix}:threads", mapping=copies)
    seen, path = set(), "/threads"
    while path:
        page = (await http.get(path, headers=ACCEPT)).text
        rows = page.split('href="/threads/emulator/')[1:]
        assert len(rows) < 500
        seen.update(row.split('"')[0] for row in rows)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
    assert len(seen) == 1000
    assert (await http.get("/threads?cursor=x", headers=ACCEPT)).status_code == 422


async def test_a_local_thread_says_until_when_it_is_kept_and_what_it_has_lost(http, asked, client, store, settings):
    thread, _ = await asked("My name is Ada.")
    keys, name = Keys(settings.key_prefix), f"emulator/{thread}"
    local = client.thread(thread, "emulator").model_copy(update={"kind": "local", "dropped": 1234})
    store.hset(keys.threads, name, local.model_dump_json(exclude_none=True))
    store.zadd(keys.local_threads, {name: datetime(2999, 12, 31, tzinfo=UTC).timestamp()})

    assert 'datetime="2999-12-31' in (await http.get("/threads", headers=ACCEPT)).text
    page = (await http.get(f"/threads/{name}", headers=ACCEPT)).text
    assert 'datetime="2999-12-31' in page
    assert "1,234" in text_of(page)
    assert "Delete this thread with its messages?" in page
    await http.post(f"/threads/{name}/delete", data={"csrf": csrf_of(page)}, headers=ACCEPT)
    assert client.leftovers() == []


@pytest.mark.settings(dashboard={"redact": True})
async def test_conversations_can_be_hidden(http, asked):
    thread, _ = await asked("A secret plan")
    assert "secret plan" not in (await http.get(f"/threads/emulator/{thread}", headers=ACCEPT)).text


async def test_the_pages_speak_chinese(http, asked):
    thread, _ = await asked("你好")
    assert "保留的對話串" in (await http.get("/threads?lang=zh-TW", headers=ACCEPT)).text
    assert "在試用頁面繼續" in (await http.get(f"/threads/emulator/{thread}?lang=zh-TW", headers=ACCEPT)).text
