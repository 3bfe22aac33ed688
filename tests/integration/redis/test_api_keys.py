"""API keys in Redis: unique by name, and without a secret."""

import pytest

from threadmill import ApiKeyExists, ApiKeyNotFound, Client, InvalidApiKey, Scope, SettingsError
from threadmill.job.api_key import KeyText
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration


@pytest.fixture
def stored(store, settings):
    """The hash of the keys, by name."""
    key = Keys(settings.key_prefix).api_keys
    return lambda: store.hgetall(key)


def test_keys_are_listed_by_name_until_they_are_revoked(client: Client):
    assert client.api_keys() == []
    shop = client.create_api_key("shop", scopes=[Scope.READ], endpoints=["emulator"], requests_per_minute=60)
    desk = client.create_api_key("desk")
    assert client.api_keys() == [desk.key, shop.key]

    client.revoke_api_key("shop")
    assert client.api_keys() == [desk.key]
    with pytest.raises(ApiKeyNotFound, match="there is no API key named 'shop'"):
        client.revoke_api_key("shop")
    assert client.create_api_key("shop").key.id != shop.key.id


def test_a_name_is_given_once(client: Client):
    first = client.create_api_key("shop")
    with pytest.raises(ApiKeyExists, match="there is an API key named 'shop': use another name, or revoke it first"):
        client.create_api_key("shop")
    assert client.api_keys() == [first.key]


def test_redis_has_no_secret(client: Client, stored):
    made = client.create_api_key("shop")
    parts = KeyText.parse(made.text)
    assert parts is not None
    assert parts.secret not in str(stored())


def test_a_wrong_key_is_not_created(client: Client, stored):
    with pytest.raises(SettingsError, match="there is no endpoint 'davinchi'"):
        client.create_api_key("shop", endpoints=["davinchi"])
    with pytest.raises(InvalidApiKey, match="`name`"):
        client.create_api_key("a.b")
    assert stored() == {}


def test_an_unreadable_key_stays_listed_and_can_be_revoked(client: Client, store, settings):
    good = client.create_api_key("shop")
    store.hset(Keys(settings.key_prefix).api_keys, mapping={"desk": "{", "a\x1b[31m": "{}"})
    escape, desk, shop = client.api_keys()
    assert (desk.name, desk.is_readable, escape.name, escape.is_readable) == ("desk", False, "a[31m", False)
    assert shop == good.key
    client.revoke_api_key("desk")
    assert len(client.api_keys()) == 2
