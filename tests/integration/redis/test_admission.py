"""Requests of an API key by the minute, as Redis counts them for all gateways."""

import pytest

from threadmill import ApiKey, Client
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration


@pytest.fixture
def limited(client: Client):
    """A key with so many requests a minute."""
    return lambda per_minute: client.create_api_key("shop", requests_per_minute=per_minute).key


@pytest.fixture
def set_full_s(client: Client, store, settings):
    """Sets how many seconds from now the key may make all requests of a minute."""

    def set_full(key: ApiKey, seconds: float) -> None:
        store.set(Keys(settings.key_prefix).api_key_requests(key.id), client.store.now().timestamp() + seconds)

    return set_full


def test_all_requests_of_a_minute_are_admitted_at_once_and_no_more(client: Client, limited):
    key = limited(3)
    admitted = [client.admit(key) for _ in range(3)]
    assert [each.wait_s for each in admitted] == [0, 0, 0]
    assert [each.left for each in admitted] == [2, 1, 0]
    refused = [client.admit(key) for _ in range(3)]
    for each in refused:
        assert 0 < each.wait_s <= 20
        assert each.left == 0
        assert 40 < each.full_s <= 60
    assert refused[0].wait_s >= refused[-1].wait_s, "a refused request does not count"


@pytest.mark.parametrize(
    ("full_s", "is_admitted", "left"),
    [(-1000, True, 5), (0, True, 5), (15, True, 3), (45, True, 0), (58, False, 0), (10_000, False, 0)],
)
def test_a_share_of_a_minute_admits_one_request(client: Client, limited, set_full_s, full_s, is_admitted, left):
    key = limited(6)  # each has 10 s
    set_full_s(key, full_s)
    found = client.admit(key)
    assert (found.wait_s == 0) is is_admitted
    assert found.left == left
    assert found.wait_s <= 10, "also after Redis' clock was set back"


def test_nothing_is_kept_for_longer_than_a_minute(client: Client, limited, store, settings):
    key = limited(2)
    for _ in range(3):
        client.admit(key)
    assert 0 < store.pttl(Keys(settings.key_prefix).api_key_requests(key.id)) <= 60_000


def test_keys_are_counted_apart_and_those_without_a_limit_not_at_all(client: Client, limited, store, settings):
    key = limited(1)
    other = client.create_api_key("desk", requests_per_minute=1).key
    free = client.create_api_key("free").key
    assert [client.admit(each).wait_s for each in (key, other, free, free)] == [0, 0, 0, 0]
    assert client.admit(key).wait_s > 0
    assert client.admit(free).left is None
    assert not store.exists(Keys(settings.key_prefix).api_key_requests(free.id))


def test_a_damaged_time_is_replaced(client: Client, limited, store, settings):
    key = limited(2)
    for damaged in ("", "soon", "-inf", "-1", "nan"):
        store.set(Keys(settings.key_prefix).api_key_requests(key.id), damaged)
        assert client.admit(key).left == 1
    store.set(Keys(settings.key_prefix).api_key_requests(key.id), "inf")
    assert client.admit(key).wait_s <= 30
