"""Who sees the pages, and for how long."""

from datetime import timedelta

import pytest
from tests.pages import changes, text_of

from threadmill_gateway.dashboard import sign_in_brake
from threadmill_gateway.dashboard.session import COOKIE, LIFE_S

pytestmark = pytest.mark.integration


async def test_without_keys_everybody_on_this_machine_sees_the_pages(browser):
    html = await browser.page("/")
    assert "Tonight" in html
    assert "Sign out" not in html


async def test_without_keys_a_web_page_whose_name_leads_to_this_machine_sees_nothing(browser):
    refused = await browser.page("/", 403, Host="attacker.example")
    assert "threadmill keys create" in refused
    assert "Workers" not in refused


async def test_with_keys_one_signs_in_and_comes_back(browser, operator_key):
    asked = await browser.get("/?lang=en&state=failed")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2F%3Flang%3Den%26state%3Dfailed")
    assert "API key" in await browser.page(asked.headers["location"])
    opened = await browser.sign_in(operator_key, "/?lang=en&state=failed")
    assert (opened.status_code, opened.headers["location"]) == (303, "/?lang=en&state=failed")
    assert "Sign out (ada)" in await browser.page("/")


async def test_the_cookie_is_for_no_script_and_no_other_site(browser, operator_key):
    cookie = (await browser.sign_in(operator_key)).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


async def test_redis_has_neither_the_cookie_nor_the_key(browser, operator_key, store, settings):
    await browser.sign_in(operator_key)
    [session] = store.keys(f"{settings.key_prefix}:session:*")
    assert browser.cookies[COOKIE] not in session
    assert store.get(session) not in (None, operator_key)
    assert 0 < store.ttl(session) <= LIFE_S


@pytest.mark.parametrize("key", ["", "tm_x", f"tm_{'a' * 12}_{'x' * 43}", "é" * 100, "\x00"])
async def test_a_wrong_key_opens_nothing(browser, operator_key, key):
    refused = await browser.sign_in(key)
    assert (refused.status_code, "there is no such API key" in refused.text) == (401, True)
    assert COOKIE not in browser.cookies
    assert (await browser.get("/")).status_code == 303


async def test_a_key_without_the_scope_is_told_so(browser, operator_key, client):
    refused = await browser.sign_in(client.create_api_key("bob", scopes=["read"]).text)
    assert (refused.status_code, "bob lacks the scope `operate`" in refused.text) == (403, True)


async def test_an_expired_key_is_told_so(browser, operator_key, client, store, settings):
    made = client.create_api_key("old", scopes=["operate"])
    assert made.key.created_at is not None
    past = made.key.model_copy(update={"expires_at": made.key.created_at - timedelta(days=1)})
    store.hset(f"{settings.key_prefix}:api_keys", "old", past.stored)
    refused = await browser.sign_in(made.text)
    assert (refused.status_code, "has expired" in refused.text) == (401, True)


async def test_a_refusal_quotes_no_key(browser, operator_key, caplog):
    wrong = f"tm_{'a' * 12}_{'x' * 43}"
    refused = await browser.sign_in(wrong)
    assert wrong not in refused.text
    assert "x" * 43 not in caplog.text


async def test_who_tries_many_keys_has_to_wait(browser, operator_key, monkeypatch):
    monkeypatch.setattr(sign_in_brake, "BURST", 2)
    monkeypatch.setattr(sign_in_brake, "EVERY_S", 1000.0)
    assert [(await browser.sign_in("tm_x")).status_code for _ in range(3)] == [401, 401, 429]
    refused = await browser.sign_in(operator_key)
    assert (refused.status_code, 0 < int(refused.headers["retry-after"]) <= 1000) == (429, True)
    assert "too many wrong keys" in refused.text


async def test_signing_out_ends_the_session_everywhere(signed_in, browser_of):
    copy = browser_of(str(signed_in.base_url))
    copy.cookies = signed_in.cookies.copy() if hasattr(signed_in.cookies, "copy") else dict(signed_in.cookies)
    assert (await copy.get("/")).status_code == 200
    left = await signed_in.press("/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert COOKIE not in signed_in.cookies
    assert (await copy.get("/")).status_code == 303


async def test_one_signs_out_of_read_only_pages(gateway_of, browser_of, operator_key):
    browser = browser_of(gateway_of(read_only=True))
    await browser.sign_in(operator_key)
    assert (await browser.press("/logout")).status_code == 303


@pytest.mark.usefixtures("current")
async def test_a_revoked_key_opens_nothing_more(signed_in, client):
    client.create_api_key("bob", scopes=["operate"])
    client.revoke_api_key("ada")
    assert (await signed_in.get("/")).status_code == 303


async def test_a_session_ends_with_its_time(signed_in, store, settings):
    [session] = store.keys(f"{settings.key_prefix}:session:*")
    store.delete(session)
    assert (await signed_in.get("/")).headers["location"].startswith("/login")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        r"/\evil.example/",
        "/\t/evil.example/",
        "/\n/evil.example",
        "javascript:alert(1)",
        "",
        "evil",
    ],
)
async def test_signing_in_leads_to_no_other_site(browser, operator_key, elsewhere):
    assert (await browser.sign_in(operator_key, elsewhere)).headers["location"] == "/"


async def test_a_page_of_another_site_signs_nobody_in(browser, operator_key):
    form = {"key": operator_key}
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await browser.post("/login", data=form, headers=foreign)).status_code == 403
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize("cookie", ["x", "x" * 5000, "\xff\xfe", '"\\"', "a=b; threadmill_session=c", "%00", "🙂"])
async def test_a_hostile_cookie_opens_nothing(browser, operator_key, cookie):
    refused = await browser.get("/", headers={"Cookie": f"{COOKIE}={cookie}".encode()})
    assert refused.status_code in (303, 400)


@pytest.mark.parametrize(
    "host",
    ["evil.example:8090", "127.0.0.1.evil.example", "localhost.evil.example", "[2001:db8::1]", "0.0.0.0"],
)
async def test_no_other_name_leads_to_pages_without_keys(browser, host):
    refused = await browser.get("/", headers=[(b"Host", host.encode("latin-1"))])
    assert (refused.status_code, "Workers" in refused.text) == (403, False)


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "127.0.0.1:99999", "127.0.0.1@evil.example", "", ".", "\xff"])
async def test_a_host_that_is_none_fails_nothing(browser, host):
    assert (await browser.get("/", headers=[(b"Host", host.encode("latin-1"))])).status_code < 500


async def test_the_reader_of_events_without_a_session_loads_the_page_again(browser, operator_key):
    assert [event async for event in changes(browser, "/")] == [("reload", None)]


async def test_the_page_of_the_sign_in_has_no_events(browser, operator_key):
    assert "data-live" not in await browser.page("/login")
    reply = await browser.get("/login", headers={"Accept": "text/event-stream"})
    assert reply.headers["content-type"].startswith("text/html")


async def test_the_sign_in_speaks_chinese(browser, operator_key):
    html = await browser.page("/login?lang=zh-TW")
    assert '<html lang="zh-TW">' in html
    assert "登入" in text_of(html)
    refused = await browser.sign_in("tm_x")
    assert "沒有這個 API 金鑰" in refused.text  # the choice is kept
