"""What a worker reads from the message of another Celery client."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from threadmill.errors import InvalidJob
from threadmill.tracing.spans import TraceContext
from threadmill_worker.celery_app.message import argument_of, start_limit, trace_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("a-job",), {}), (({"prompt": "Why?"},), {}), ((), {"job": {"prompt": "Why?"}})],
)
def test_a_job_is_the_only_argument(args, kwargs):
    assert argument_of(args, kwargs) == (args or (kwargs["job"],))[0]


@pytest.mark.parametrize(
    ("args", "kwargs", "given"),
    [
        ((), {}, "nothing"),
        (("a", "b"), {}, "str, str"),
        ((), {"prompt": "Why?"}, "prompt="),
        ((7,), {"job": "a"}, "int, job="),
    ],
)
def test_another_call_is_refused_with_a_right_one(args, kwargs, given):
    with pytest.raises(InvalidJob, match=rf"and was given {given}; send one job: send_task\("):
        argument_of(args, kwargs)


def test_a_limit_without_a_time_zone_is_in_utc():
    noon = datetime(2026, 11, 28, 12)
    assert start_limit("2026-11-28T12:00:00") == noon.replace(tzinfo=UTC)
    assert start_limit("2026-11-28T12:00:00+02:00") == noon.replace(tzinfo=timezone(timedelta(hours=2)))
    assert start_limit(None) is None


def test_a_trace_is_read_as_far_as_it_is_one():
    assert trace_of(SimpleNamespace(traceparent=PARENT, tracestate="a=b")) == TraceContext(PARENT, "a=b")
    assert trace_of(SimpleNamespace(traceparent=PARENT, tracestate=7)) == TraceContext(PARENT, None)
    assert trace_of(SimpleNamespace()) is None
    assert trace_of(SimpleNamespace(traceparent=7)) is None
