"""Any bytes on the queue: reading them raises nothing, and a sound message behind them arrives."""

import base64

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.worker.mutations import mutated

from threadmill.queue import TASK, make_app
from threadmill.store.records.dead_letter import DeadLetter
from threadmill_worker.celery_app import transport
from threadmill_worker.celery_app.consumer import Consumer

pytestmark = pytest.mark.integration


class Line:
    """A worker's connection to its queue and the handler of its messages, without Celery's worker around them."""

    def __init__(self, made):
        self.app = make_app(made)
        self.app.conf.update(  # kombu remembers the transport of its name that another test has used
            broker_transport=f"{transport.__name__}:Transport", broker_transport_options=transport.options(made)
        )
        self.received = []
        consumer = Consumer.__new__(Consumer)
        consumer.app = self.app
        consumer.strategies = {TASK: self._take}
        consumer.on_task_message = ()
        consumer.restart_count = 0
        consumer._maximum_prefetch_restored = True
        self.connection = self.app.connection_for_read()
        consumer.connection_errors = self.connection.connection_errors
        self.channel = self.connection.channel()
        kombu = self.connection.Consumer([self.app.amqp.queues[made.queue]], channel=self.channel, accept=["json"])
        kombu.on_message = consumer.create_task_handler()
        kombu.on_decode_error = consumer.on_decode_error
        kombu.consume()

    def _take(self, message, payload, ack, reject, callbacks):
        self.received.append(message.headers["id"] if payload is None else payload["id"])
        message.ack()

    def read(self, count):
        """Reads so many items, sound or not."""
        for _ in range(count):
            self.connection.drain_events(timeout=5)


@pytest.fixture(scope="module")
def made(make_settings):
    return make_settings("http://127.0.0.1:1/v1")


@pytest.fixture(scope="module")
def line(made):
    opened = Line(made)
    yield opened
    opened.connection.release()


@pytest.fixture(scope="module")
def raw(redis_url):
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def sound(made, raw):
    """A message as a Celery client sends it."""
    make_app(made).send_task(TASK, args=["job-1"], task_id="job-1")
    return raw.rpop(made.queue)


@given(data=st.data())
@settings(max_examples=200)
def test_no_item_raises_and_a_sound_one_arrives(line, made, sound, raw, data):
    item = data.draw(mutated(sound))
    line.received.clear()

    raw.lpush(made.queue, item)
    line.read(1)
    raw.lpush(made.queue, sound)
    line.read(1)

    assert line.received[-1] == "job-1"
    if len(line.received) == 1:
        [letter] = [
            DeadLetter.model_validate_json(each) for each in raw.lrange(f"{made.key_prefix}:dead_letters", 0, 0)
        ]
        assert base64.b64decode(letter.body) == item[:65_536]
