"""What Redis replies costs a worker its connection to the queue, not more."""

import pytest
from redis import exceptions

from threadmill_worker.celery_app.transport import QoS, SentinelTransport, Transport


@pytest.mark.parametrize("transport", [Transport, SentinelTransport])
@pytest.mark.parametrize(
    "error", [exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.ResponseError, exceptions.NoScriptError]
)
def test_an_error_that_redis_replies_with_has_celery_connect_again(transport, error):
    assert issubclass(error, transport.connection_errors)
    assert transport.Channel.QoS is QoS


def test_a_message_that_cannot_be_acknowledged_takes_no_room():
    class Channel:
        do_restore = False

        def conn_or_acquire(self, client):
            raise exceptions.ReadOnlyError("replica")

    qos = QoS(Channel(), prefetch_count=1)
    qos._delivered["a-tag"] = object()
    assert not qos.can_consume()
    with pytest.raises(exceptions.ReadOnlyError):
        qos.ack("a-tag")
    assert qos.can_consume()
