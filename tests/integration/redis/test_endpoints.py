"""The part of the scripts that knows which endpoints are paused."""

import json
import uuid
from urllib.parse import quote

import pytest

from threadmill.store.keys import Keys
from threadmill.store.scripts import source

pytestmark = pytest.mark.integration

WHY = source("include/endpoints") + "\nreturn endpoints.why_paused(request.pool)"
IS = source("include/endpoints") + "\nreturn endpoints.is_paused(request.pool)"


@pytest.fixture
def keys():
    return Keys(f"test-{uuid.uuid4().hex}")


@pytest.fixture
def evaluate(store, keys):
    return lambda script, pool: store.eval(script, 0, keys.prefix, json.dumps({"pool": pool}))


@pytest.mark.parametrize("pool", ["{}", "{}/gpt-4o", "{}@OPENAI_API_KEY", "{}/gpt-4o@OPENAI_API_KEY"])
@pytest.mark.parametrize("endpoint", ["davinci", "a@b", "größe+1"])
def test_all_pools_of_a_paused_endpoint_are_paused(pool, endpoint, store, keys, evaluate):
    store.hset(keys.endpoints_paused, endpoint, "maintenance until 6")
    name = pool.format(quote(endpoint, safe=""))
    assert evaluate(IS, name)
    assert evaluate(WHY, name) == f"endpoint {endpoint} is paused: maintenance until 6"


def test_an_endpoint_can_be_paused_without_a_reason(store, keys, evaluate):
    store.hset(keys.endpoints_paused, "davinci", "")
    assert evaluate(IS, "davinci/gpt-4o")
    assert evaluate(WHY, "davinci/gpt-4o") == "endpoint davinci is paused"


def test_other_endpoints_are_not_paused(store, keys, evaluate):
    store.hset(keys.endpoints_paused, "davinci", "maintenance")
    assert not evaluate(IS, "davinci-2/gpt-4o")
    assert evaluate(WHY, "davinci-2/gpt-4o") is None
