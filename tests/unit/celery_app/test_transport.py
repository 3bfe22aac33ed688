"""What Redis replies costs a worker its connection to the queue, not more."""

from types import SimpleNamespace

import pytest
from redis import exceptions

from threadmill.queue import ORIGIN
from threadmill_worker.celery_app.transport import QoS, SentinelTransport, Transport


@pytest.mark.parametrize("transport", [Transport, SentinelTransport])
@pytest.mark.parametrize(
    "error", [exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.ResponseError, exceptions.NoScriptError]
)
def test_an_error_that_redis_replies_with_has_celery_connect_again(transport, error):
    assert issubclass(error, transport.connection_errors)
    assert transport.Channel.QoS is QoS


@pytest.fixture
def qos():
    """Room for one message, and a Redis that refuses to write."""

    class Channel:
        do_restore = False

        def conn_or_acquire(self, client):
            raise exceptions.ReadOnlyError("replica")

    return QoS(Channel(), prefetch_count=1)


def test_a_message_that_cannot_be_acknowledged_takes_no_room(qos):
    qos._delivered["a-tag"] = object()
    assert not qos.can_consume()
    with pytest.raises(exceptions.ReadOnlyError):
        qos.ack("a-tag")
    assert qos.can_consume()


@pytest.mark.parametrize("requeue", [False, True])
def test_a_message_of_our_own_is_rejected_without_redis(qos, requeue):
    qos.append(SimpleNamespace(headers={"origin": ORIGIN}), "a-tag")
    assert not qos.can_consume()
    qos.reject("a-tag", requeue=requeue)
    assert qos.can_consume()
    assert not qos._own
