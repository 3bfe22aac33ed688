"""Parts of a page that change are sent again while it is open."""

from contextlib import aclosing

import pytest
from tests.own_redis import own_redis
from tests.pages import changes

from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration


async def test_a_part_that_changes_is_sent_again_and_alone(browser, client):
    async with aclosing(changes(browser, "/")) as events:
        first = await _blocks(events)
        assert "endpoints" in first
        client.pause_endpoint("emulator", "the bill")
        while not (changed := await _blocks(events)):
            pass
        assert "the bill" in changed["endpoints"]
        assert "workers" not in changed


async def test_the_blocks_of_a_page_have_their_places_in_it(browser):
    html = await browser.page("/")
    assert "data-live" in html
    async with aclosing(changes(browser, "/")) as events:
        for name, block in (await _blocks(events)).items():
            assert f'id="{name}"' in html
            assert f'id="{name}"' not in block


@pytest.mark.usefixtures("current")
async def test_a_page_is_loaded_again_when_its_key_is_revoked(signed_in, client):
    client.create_api_key("bob", scopes=["operate"])
    async with aclosing(changes(signed_in, "/")) as events:
        await _blocks(events)
        client.revoke_api_key("ada")
        assert await _last(events) == "reload"


async def test_a_page_is_loaded_again_when_its_session_ends(signed_in):
    async with aclosing(changes(signed_in, "/")) as events:
        await _blocks(events)
        assert (await signed_in.press("/logout")).status_code == 303
        assert await _last(events) == "reload"


async def test_a_page_says_that_redis_is_away_and_goes_on_when_it_is_back(gateway_of, browser_of, settings, tmp_path):
    port = free_port()
    elsewhere = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
    with own_redis(tmp_path, port=port):
        events = changes(browser_of(gateway_of(elsewhere)), "/")
        await _blocks(events)
    while (await anext(events))[0] != "away":
        pass
    with own_redis(tmp_path, port=port):
        while (await anext(events))[0] != "alive":
            pass
    await events.aclose()


async def _blocks(events):
    """The blocks that come before the next sign of life, by name."""
    found = {}
    async for name, data in events:
        if name == "alive":
            return found
        if name == "block":
            found[data["id"]] = data["html"]
    raise AssertionError("the events ended")


async def _last(events):
    """The name of the event after which no more come."""
    return [name async for name, _ in events][-1]
