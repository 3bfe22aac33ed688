"""`/playground`: a prompt is sent, its answer is watched, the conversation goes on."""

import asyncio

import httpx
import pytest
from tests.pages import ACCEPT, changes, csrf_of, field_of, text_of
from tests.served import served

from threadmill.settings.profile import Profile
from threadmill_gateway.app import create_app

pytestmark = pytest.mark.integration

HOSTILE = "</textarea><script>alert(1)</script><img src=x onerror=alert(2)>"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
def send(http):
    """Sends the form of a page, as a browser does. Returns the reply."""

    async def post(prompt, at="/playground", files=(), **fields):
        page = (await http.get(at, headers=ACCEPT)).text
        hidden = {name: field_of(page, name) for name in ("csrf", "form")}
        if 'name="thread"' in page:
            hidden |= {name: field_of(page, name) for name in ("thread", "endpoint")}
        data = {**hidden, "prompt": prompt, "keep_thread": "yes", **fields}
        return await http.post("/playground", data=data, files=list(files) or [("files", ("", b""))], headers=ACCEPT)

    return post


def job_of(reply):
    assert reply.status_code == 303, text_of(reply.text)
    return reply.headers["location"].removeprefix("/playground/")


async def test_a_prompt_is_sent_and_its_answer_shown(http, send, run, client):
    reply = await send("Why is the sky *blue*?", timeout_s="50", priority="high")
    job_id = job_of(reply)
    job = client.get(job_id).job
    assert (job.prompt, job.timeout_s, job.priority, job.stream) == ("Why is the sky *blue*?", 50, "high", True)
    waiting = await http.get(f"/playground/{job_id}", headers=ACCEPT)
    assert "Why is the sky *blue*?" in waiting.text
    assert "Look again" in waiting.text
    await run(job_id)
    page = await http.get(f"/playground/{job_id}", headers=ACCEPT)
    assert "<em>Emulated" in page.text, "the answer is Markdown"
    assert "Follow up" in page.text
    assert "data-live" not in page.text, "nothing changes any more"


async def test_the_answer_is_watched_while_it_is_written(http, send, run):
    job_id = job_of(await send("Well?"))
    blocks = changes(http, f"/playground/{job_id}")
    kind, first = await anext(blocks)
    assert (kind, first["id"]) == ("block", "answer")
    assert "queued" in first["html"]
    running = asyncio.create_task(run(job_id))
    seen = {}
    async for kind, block in blocks:
        if kind == "alive":
            continue
        assert kind == "block"
        seen[block["id"]] = block["html"]
        if "Follow up" in seen.get("next", "") and "succeeded" in seen.get("answer", ""):
            break
    await running
    await blocks.aclose()


async def test_a_reader_that_leaves_ends_the_reading(settings, client, until):
    job_id = client.enqueue({"prompt": "Well?", "stream": True}).id
    app = create_app(settings)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            blocks = changes(http, f"/playground/{job_id}")
            await anext(blocks)
            reader = app.state.gateway.client._watcher._reader
            await asyncio.to_thread(until, lambda: reader._watches)
            await blocks.aclose()
        await asyncio.to_thread(until, lambda: not reader._watches)


async def test_a_conversation_goes_on(http, send, run, client):
    first = job_of(await send("My name is Ada."))
    await run(first)
    second = job_of(await send("What is my name?", at=f"/playground/{first}"))
    await run(second)
    assert client.get(second).job.thread == client.get(first).result.thread_id
    page = text_of((await http.get(f"/playground/{second}", headers=ACCEPT)).text)
    assert page.index("My name is Ada.") < page.index("What is my name?") < page.index("Follow up")
    earlier = await http.get(f"/playground/{first}", headers=ACCEPT)
    assert f'href="/playground/{second}"' in earlier.text
    assert "The conversation has gone on" in earlier.text


async def test_a_form_that_is_sent_twice_enqueues_one_job(http, client):
    page = (await http.get("/playground", headers=ACCEPT)).text
    data = {"csrf": csrf_of(page), "form": field_of(page, "form"), "prompt": "Well?"}
    for files in ([], [("images", ("a.png", PNG, "image/png"))]):
        sent = [await http.post("/playground", data=data, files=files or None, headers=ACCEPT) for _ in range(2)]
        assert len({job_of(each) for each in sent}) == 1
    changed = await http.post("/playground", data={**data, "prompt": "Why?"}, headers=ACCEPT)
    assert client.get(job_of(changed)).job.prompt == "Why?"
    assert len(client.jobs()) == 3


async def test_images_and_files_are_uploaded_and_shown(http, send, client):
    files = [("images", ("sky.png", PNG, "image/png")), ("files", ("notes.md", b"# Notes", "text/markdown"))]
    job_id = job_of(await send("What is this?", files=files, files_for="code_interpreter"))
    job = client.get(job_id).job
    assert job.files[0].tools == ("code_interpreter",)
    page = await http.get(f"/playground/{job_id}", headers=ACCEPT)
    image = job.image_sources[0].removeprefix("upload:")
    assert f'src="/playground/uploads/{image}" alt="sky.png"' in page.text
    assert "notes.md" in page.text
    shown = await http.get(f"/playground/uploads/{image}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    saved = await http.get(f"/playground/uploads/{job.files[0].upload}")
    assert saved.headers["content-disposition"].startswith("attachment")
    assert (await http.get("/playground/uploads/file-tm-" + "0" * 32, headers=ACCEPT)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": " "}, "prompt"),
        ({"timeout_s": "soon"}, "write a number"),
        ({"endpoint": "nowhere"}, "nowhere"),
        ({"response_format": "json_schema", "schema": "{"}, "not JSON"),
        ({"response_format": "json_schema", "schema": "[]"}, "not a JSON object"),
        ({"tools": "no_such_tool"}, "no_such_tool"),
        ({"profile": "none-such"}, "none-such"),
    ],
)
async def test_what_cannot_be_sent_is_shown_again_with_the_reason(http, send, client, fields, reason):
    reply = await send(**{"prompt": HOSTILE, **fields})
    assert reply.status_code == 422
    assert reason in text_of(reply.text)
    assert "<script>alert" not in reply.text
    assert "onerror=alert" not in reply.text.replace("&lt;img src=x onerror=alert", "")
    assert client.jobs() == []


@pytest.mark.settings(upload_limit_bytes=100)
async def test_a_file_that_is_too_large_leaves_nothing_behind(send, client):
    files = [("images", ("sky.png", PNG, "image/png")), ("files", ("notes.md", b"x" * 101, "text/markdown"))]
    reply = await send("What is this?", files=files)
    assert reply.status_code == 422
    assert client.jobs() == []
    assert client.store.uploads(None, 10) == []


async def test_hostile_texts_do_nothing(http, send, run):
    job_id = job_of(await send(HOSTILE, model="<b>model</b>"))
    await run(job_id)
    page = (await http.get(f"/playground/{job_id}", headers=ACCEPT)).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>model" not in page


async def test_a_failure_is_shown_with_its_reason(http, send, run, client):
    job_id = job_of(await send("[[scenario=failed]] Well?"))
    await run(job_id)
    failure = client.get(job_id).result.failure
    page = text_of((await http.get(f"/playground/{job_id}", headers=ACCEPT)).text)
    assert f"{failure.kind} : {failure.message}" in page


async def test_a_job_can_be_cancelled(http, send, client):
    job_id = job_of(await send("Well?"))
    page = (await http.get(f"/playground/{job_id}", headers=ACCEPT)).text
    reply = await http.post(f"/playground/{job_id}/cancel", data={"csrf": csrf_of(page)}, headers=ACCEPT)
    assert reply.headers["location"] == f"/playground/{job_id}"
    assert client.get(job_id).state == "cancelled"


async def test_a_page_shows_how_to_save_what_was_tried(http, send):
    job_id = job_of(await send("It's new", response_format="json_object", model="gpt-5-mini"))
    page = text_of((await http.get(f"/playground/{job_id}", headers=ACCEPT)).text)
    assert "threadmill submit --endpoint emulator --model gpt-5-mini" in page
    assert "threadmill batch DOCUMENTS --prompt" in page
    assert '[profiles.NAME] model = "gpt-5-mini" response_format = { type = "json_object" }' in page


@pytest.mark.settings(dashboard={"redact": True})
async def test_prompts_and_answers_can_be_hidden(http, send, run, client):
    job_id = job_of(await send("A secret plan"))
    await run(job_id)
    page = await http.get(f"/playground/{job_id}", headers=ACCEPT)
    assert "secret plan" not in page.text
    assert "These pages hide prompts and answers" in page.text


async def test_without_the_right_to_act_there_is_no_form(gateway_of):
    async with httpx.AsyncClient(base_url=gateway_of(read_only=True), timeout=60) as http:
        page = await http.get("/playground", headers=ACCEPT)
        assert "<textarea" not in page.text
        assert "threadmill submit PROMPT --follow" in page.text
        assert (await http.post("/playground", data={"prompt": "Well?"}, headers=ACCEPT)).status_code == 403


async def test_a_form_of_another_site_is_refused(http, client):
    page = (await http.get("/playground", headers=ACCEPT)).text
    data = {"csrf": csrf_of(page), "form": "f", "prompt": "Well?"}
    for wrong in ({"data": {**data, "csrf": "0"}}, {"data": data, "headers": {"Origin": "https://evil.example"}}):
        assert (await http.post("/playground", **wrong)).status_code == 403
    assert client.jobs() == []


@pytest.mark.settings(profiles={"brief": Profile(model="gpt-5-mini")})
async def test_the_page_speaks_chinese(http):
    page = text_of((await http.get("/playground?lang=zh-TW", headers=ACCEPT)).text)
    for word in ("試用", "提示", "送出"):
        assert word in page
