"""When the consumer publishes events for Celery's monitors."""

import time
from types import SimpleNamespace

import pytest

from threadmill_worker.celery_app.consumer import EVENTS_S, Consumer


@pytest.fixture
def consumer(monkeypatch):
    """A consumer without a broker, whose clock shows `now` and whose `planned` are the publications so far."""
    consumer = Consumer.__new__(Consumer)
    consumer.now, consumer.planned, consumer._flush_events = 100.0, [], "publish"
    consumer.hub = SimpleNamespace(call_later=lambda after_s, call: consumer.planned.append((after_s, call)))
    monkeypatch.setattr(time, "monotonic", lambda: consumer.now)
    return consumer


def test_events_of_many_tasks_are_published_together(consumer):
    for _ in range(3):
        consumer.on_send_event_buffered()
        consumer.now += EVENTS_S / 4
    assert consumer.planned == [(EVENTS_S, "publish")]


def test_an_event_after_a_publication_is_published_with_the_next(consumer):
    consumer.on_send_event_buffered()
    consumer.now += EVENTS_S
    consumer.on_send_event_buffered()
    assert len(consumer.planned) == 2
