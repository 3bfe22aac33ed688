"""The body of a callback. Pure: it is the same at each attempt, as long as the job or batch has not changed."""

import json
from datetime import datetime
from typing import Any

from threadmill.job.callback import CallbackFormat
from threadmill.job.result import JobResult
from threadmill.store.records.batch import BatchRecord
from threadmill.store.records.callback import Delivery

#: Bytes of a result in a callback. A longer one is sent without what the model wrote.
RESULT_LIMIT = 64_000

#: What the model and its tools wrote, which may be long.
_LONG = {"text", "content", "parsed", "citations", "steps"}

CONTENT_TYPES: dict[CallbackFormat, str] = {
    "webhook": "application/json",
    "cloudevents": "application/cloudevents+json",
}


def job_data(delivery: Delivery, result: JobResult | None) -> dict[str, Any]:
    """Returns `data` for the end of a job. `result` is null in it if it is no longer kept."""
    data: dict[str, Any] = {"job_id": delivery.subject, "state": delivery.event.removeprefix("job.")}
    if result is None:
        return data | {"result": None}
    whole = result.model_dump(mode="json", exclude={"content", "steps"})
    is_cut = len(_encoded(whole)) > RESULT_LIMIT
    sent = result.model_dump(mode="json", exclude=_LONG) if is_cut else whole
    return data | {"batch": result.batch, "metadata": result.metadata, "result": sent, "result_is_cut": is_cut}


def batch_data(delivery: Delivery, batch: BatchRecord | None) -> dict[str, Any]:
    """Returns `data` for the end of a batch. The counters are left out if the batch is no longer kept."""
    data: dict[str, Any] = {"batch": delivery.subject}
    if batch is None:
        return data
    return data | {
        "jobs": dict(batch.jobs),
        "generation": batch.generation,
        "usage": batch.usage.model_dump(mode="json"),
        "failures": dict(batch.failures),
    }


def body(delivery: Delivery, data: dict[str, Any]) -> bytes:
    """Returns the body in the format that the receiver chose."""
    time = _text(delivery.created_at)
    if delivery.receiver.format == "webhook":
        return _encoded({"type": delivery.event, "timestamp": time, "data": data})
    return _encoded(
        {
            "specversion": "1.0",
            "id": delivery.id,
            "source": "threadmill",
            "type": f"threadmill.{delivery.event}",
            "subject": delivery.subject,
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
