"""Browsers on a gateway with the dashboard."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from tests.pages import Browser

from threadmill import Client
from threadmill_gateway.requests import key_ring


@pytest.fixture
async def browser_of() -> AsyncIterator[Callable[..., Browser]]:
    """Opens browsers on a gateway."""
    async with AsyncExitStack() as opened:

        def make(url: str, **headers: str) -> Browser:
            made = Browser(base_url=url, timeout=60, headers={"Accept": "text/html", **headers})
            opened.push_async_callback(made.aclose)
            return made

        yield make


@pytest.fixture
def browser(browser_of: Callable[..., Browser], gateway_url: str) -> Browser:
    return browser_of(gateway_url)


@pytest.fixture
def operator_key(client: Client) -> str:
    """The text of a key that may sign in."""
    return client.create_api_key("ada", scopes=["operate", "read"]).text


@pytest.fixture
async def signed_in(browser: Browser, operator_key: str) -> Browser:
    assert (await browser.sign_in(operator_key)).status_code == 303
    return browser


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has gateways read the keys for each request."""
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 0)
