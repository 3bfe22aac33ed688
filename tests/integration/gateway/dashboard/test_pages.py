"""What all pages share: where they are published, how they name errors, and who may change something."""

import re

import pytest
from tests.pages import text_of

pytestmark = pytest.mark.integration

HIDDEN = {"dashboard": {"redact": True, "read_only": True}}


async def test_a_page_loads_nothing_from_elsewhere(browser):
    reply = await browser.get("/")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r'(?:src|href)="(?:https?:)?//', reply.text) == []


async def test_files_of_pages_are_kept_until_they_change(browser):
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', await browser.page("/"))
    assert len(files) >= 3
    for address in files:
        kept = await browser.get(address)
        assert (kept.status_code, "immutable" in kept.headers["cache-control"]) == (200, True)
        path = address.partition("?")[0]
        assert (await browser.get(f"{path}?v=old")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["none.css", "..%2Fpage.py", "%2e%2e%2fpage.py", "style.css%00"])
async def test_no_other_files_are_served(browser, name):
    assert (await browser.get(f"/static/{name}")).status_code == 404


async def test_a_gateway_without_pages(gateway_of, browser_of):
    browser = browser_of(gateway_of(has_dashboard=False))
    refused = await browser.get("/")
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    assert (await browser.get("/static/style.css")).status_code == 404
    assert (await browser.get("/v1/jobs")).status_code == 200


async def test_pages_without_the_api(gateway_of, browser_of):
    browser = browser_of(gateway_of(has_api=False))
    assert "Tonight" in await browser.page("/")
    for path in ("/v1/jobs", "/v1/responses", "/openapi.json", "/docs"):
        assert (await browser.get(path)).status_code == 404
    assert (await browser.get("/healthz")).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/tools/threadmill"], ids=["stripped", "kept"])
async def test_pages_behind_a_proxy_under_a_path(gateway_of, browser_of, operator_key, prefix):
    """A proxy may strip its path from requests, or keep it."""
    root = "/tools/threadmill"
    browser = browser_of(gateway_of(root_path=root))
    asked = await browser.get(f"{prefix}/?lang=en")
    assert asked.headers["location"] == f"{root}/login?next=%2F%3Flang%3Den"
    opened = await browser.post(f"{prefix}/login", data={"key": operator_key, "next": "/?lang=en"})
    assert opened.headers["location"] == f"{root}/?lang=en"
    assert f"Path={root}" in opened.headers["set-cookie"]
    cookie = opened.headers["set-cookie"].partition(";")[0]
    html = await browser.page(f"{prefix}/", Cookie=cookie)
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', html)
    assert [link for link in links if not link.startswith(f"{root}/")] == []
    assert f'href="{root}/" aria-current="page"' in html


@pytest.mark.parametrize("path", ["/threadmill/x", "/threadmillx", "/nothing"])
async def test_paths_that_resemble_the_one_of_a_proxy(gateway_of, browser_of, path):
    browser = browser_of(gateway_of(root_path="/threadmill"))
    assert "There is no such page" in await browser.page(path, 404)


async def test_the_cookie_is_for_https_alone_behind_a_proxy_that_has_it(browser, operator_key, monkeypatch):
    from threadmill_gateway.dashboard import session

    monkeypatch.setattr(
        session.Request, "url", property(lambda self: type("U", (), {"scheme": "https", "path": "/"})())
    )
    assert "Secure" in (await browser.sign_in(operator_key)).headers["set-cookie"]


async def test_an_unknown_path_is_answered_as_it_was_asked(browser):
    assert "There is no such page" in await browser.page("/nothing", 404)
    problem = await browser.get("/nothing", headers={"Accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"
    api = await browser.get("/v1/jobs/00000000-0000-4000-8000-000000000000")
    assert api.headers["content-type"] == "application/problem+json"


async def test_errors_speak_chinese(browser):
    html = await browser.page("/nothing?lang=zh-TW", 404)
    assert "沒有這個頁面" in text_of(html)
    assert re.findall(r"[a-z]{2,}", text_of(html).replace("threadmill", "").replace("English", "")) == []


async def test_a_form_that_is_too_large_is_answered_as_a_page(gateway_of, browser_of):
    browser = browser_of(gateway_of(max_body_bytes=1000))
    refused = await browser.post("/endpoints/emulator/pause", data={"reason": "x" * 5000})
    assert (refused.status_code, "That is too large" in refused.text) == (413, True)


async def test_what_users_wrote_cannot_become_html(browser, client):
    client.pause_endpoint("emulator", "<script>alert(1)</script>")
    html = await browser.page("/")
    assert "<script>alert" not in html


async def test_a_language_is_kept_and_can_be_changed_back(browser):
    assert '<html lang="zh-TW">' in await browser.page("/", **{"Accept-Language": "zh-TW,zh;q=0.9"})
    chinese = await browser.page("/?lang=zh-TW&x=1")
    assert 'href="/?lang=en&amp;x=1"' in chinese
    assert '<html lang="zh-TW">' in await browser.page("/")
    assert '<html lang="en">' in await browser.page("/?lang=en")
    assert '<html lang="en">' in await browser.page("/?lang=%3Cscript%3E")


async def test_an_action_is_done_logged_and_shown(signed_in, client):
    done = await signed_in.press("/endpoints/emulator/pause", reason="the bill")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert [pool.paused for pool in client.pools("emulator")] == ["the bill"]
    await signed_in.press("/endpoints/emulator/resume")
    assert [pool.paused for pool in client.pools("emulator")] in ([], [None])


@pytest.mark.parametrize("form", [{}, {"csrf": "x"}, {"csrf": ""}])
async def test_an_action_needs_the_token_of_the_form(signed_in, client, form):
    refused = await signed_in.post("/endpoints/emulator/pause", data=form)
    assert (refused.status_code, "this form belongs to another session" in refused.text) == (403, True)
    assert "Sign out (ada)" in refused.text
    assert client.pools("emulator") == []


async def test_a_token_in_another_character_set_is_refused(signed_in):
    body = b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\\ud800\r\n--b--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b; charset=unicode_escape"}
    assert (await signed_in.post("/logout", content=body, headers=kind)).status_code == 403


async def test_an_action_of_another_site_is_refused(browser, client):
    html = await browser.page("/")
    csrf = re.search(r'name="csrf" value="(\w+)"', html)
    form = {"csrf": csrf[1] if csrf else ""}
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://["}):
        assert (await browser.post("/endpoints/emulator/pause", data=form, headers=foreign)).status_code == 403
    assert client.pools("emulator") == []


async def test_an_action_without_a_session_leads_to_the_sign_in(browser, operator_key):
    refused = await browser.post("/endpoints/emulator/pause", data={"csrf": "x"})
    assert (refused.status_code, refused.headers["location"]) == (303, "/login")


async def test_an_action_by_get_does_nothing(browser, client):
    assert (await browser.get("/endpoints/emulator/pause")).status_code == 405
    assert client.pools("emulator") == []


async def test_read_only_pages_have_no_buttons_and_refuse_actions(gateway_of, browser_of, operator_key, client):
    browser = browser_of(gateway_of(read_only=True))
    await browser.sign_in(operator_key)
    html = await browser.page("/")
    assert "Read-only" in html
    assert re.findall(r'<form[^>]*action="([^"]*)"', html) == ["/logout"]
    refused = await browser.press("/endpoints/emulator/pause")
    assert (refused.status_code, "these pages are read-only" in refused.text) == (403, True)
    assert client.pools("emulator") == []


@pytest.mark.settings(**HIDDEN)
async def test_the_settings_make_pages_read_only(browser):
    assert "<form" not in await browser.page("/")


async def test_a_page_says_that_redis_cannot_be_used(gateway_of, browser_of, settings):
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    html = await browser_of(gateway_of(away)).page("/", 503)
    assert "Redis cannot be used now" in html
    assert "127.0.0.1:1" not in html
