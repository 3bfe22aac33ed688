"""The body of a callback."""

import json
from datetime import UTC, datetime

from threadmill import JobResult, JobState
from threadmill.job.callback import Callback
from threadmill.job.result import Timings
from threadmill.store.records.callback import Delivery, DeliveryState
from threadmill_worker.callbacks.body import body, job_data

AT = datetime(2026, 11, 29, 6, tzinfo=UTC)


def delivery(form="webhook"):
    return Delivery(
        id="msg_1",
        state=DeliveryState.PENDING,
        event="job.succeeded",
        kind="job",
        subject="j1",
        receiver=Callback(url="https://shop.example/hook?token=abc", format=form),
        created_at=AT,
    )


def result(text):
    timings = Timings(created_at=AT, finished_at=AT)
    return JobResult(job_id="j1", state=JobState.SUCCEEDED, text=text, timings=timings, metadata={"order": "7"})


def sent(text, form="webhook"):
    return json.loads(body(delivery(form), job_data(delivery(form), result(text))))


def test_a_body_has_type_time_and_result():
    found = sent("Rain: 雨")
    assert (found["type"], found["timestamp"]) == ("job.succeeded", "2026-11-29T06:00:00Z")
    assert found["data"]["result"]["text"] == "Rain: 雨"
    assert found["data"]["metadata"] == {"order": "7"}
    assert not found["data"]["result_is_cut"]


def test_a_long_result_is_sent_without_its_text():
    found = sent("x" * 70_000)["data"]
    assert found["result_is_cut"]
    assert "text" not in found["result"]


def test_cloudevents_have_the_required_attributes():
    found = sent("yes", "cloudevents")
    assert (found["specversion"], found["id"], found["type"]) == ("1.0", "msg_1", "threadmill.job.succeeded")
    assert found["source"]
    assert found["data"]["job_id"] == "j1"


def test_a_result_that_is_no_longer_kept_is_null():
    assert job_data(delivery(), None) == {"job_id": "j1", "state": "succeeded", "result": None}


def test_a_list_shows_no_query_of_the_url():
    assert delivery().shown_url == "https://shop.example/hook"
