"""Fixtures of the worker's integration tests."""

import pytest
from celery import Celery
from tests.integration.worker.holder import Holder

from threadmill.store.keys import Keys


@pytest.fixture
def shop(settings):
    """A service with its own Celery app, which knows nothing of threadmill."""
    with Celery("shop", broker=settings.redis_url, backend=settings.redis_url) as app:
        yield app


@pytest.fixture
async def job_store(settings):
    """The records as a worker without jobs of its own sees them."""
    job_store = Holder(settings, "a-worker")
    yield job_store
    await job_store.close()


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)
