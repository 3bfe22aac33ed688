"""Items on the queue that are no messages: the worker drops them and runs the next job."""

import base64
import hashlib
import json
import uuid

import pytest
from tests import shared

from threadmill import Client, JobState

pytestmark = pytest.mark.integration

emulator, base_url = shared.emulator, shared.base_url

TASK = "threadmill.run_job"


@pytest.fixture(scope="module")
def settings(make_settings, base_url):
    return make_settings(base_url)


@pytest.fixture(scope="module")
def process(settings, start_worker_for_all):
    return start_worker_for_all(settings)


def message(body=None, headers=None, **changes):
    """A message as Celery sends it, with some of it changed; None leaves a field out."""
    sound = {"task": TASK, "id": str(uuid.uuid4()), "lang": "py", "argsrepr": "", "kwargsrepr": ""}
    fields = {
        "body": base64.b64encode(json.dumps([[{"prompt": "Well?"}], {}, {}]).encode()).decode()
        if body is None
        else body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": sound if headers is None else headers,
        "properties": {
            "correlation_id": sound["id"],
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "x"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    } | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def coded(text):
    return base64.b64encode(text.encode()).decode()


HOSTILE = {
    "no JSON": "hello",
    "nothing": "",
    "no UTF-8": b"\xff\xfe\x00",
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "an empty object": "{}",
    "nested deeply": "[" * 100_000,
    "no properties": message(properties=None),
    "properties are a list": message(properties=[1]),
    "no delivery tag": message(properties={"delivery_info": {}}),
    "no delivery info": message(properties={"delivery_tag": "x", "body_encoding": "base64"}),
    "an unknown body encoding": message(
        properties={"delivery_tag": "x", "body_encoding": "rot13", "delivery_info": {}}
    ),
    "a body that is no base64": message("!"),
    "a body that is a number": message(7),
    "a body that is no JSON": message(coded("{")),
    "a body that is a number in JSON": message(coded("7")),
    "a body that is a list of one": message(coded("[1]")),
    "a body with args that are a number": message(coded("[7, 7, 7]")),
    "pickle": message(**{"content-type": "application/x-python-serialize"}),
    "an unknown encoding": message(**{"content-encoding": "x-none"}),
    "headers are a list": message(headers=[1]),
    "headers are null": message(headers={}, body=coded("null")),
    "a task that is a list": message(headers={"task": [TASK], "id": "x"}),
    "an id that is an object": message(headers={"task": TASK, "id": {"a": 1}}),
    "no id": message(headers={"task": TASK}),
    "another task": message(headers={"task": "shop.other", "id": "x-1"}),
    "a time that is none": message(headers={"task": TASK, "id": "x-2", "eta": "soon", "expires": [1]}),
    "unknown compression": message(headers={"task": TASK, "id": "x-3", "compression": "application/x-none"}),
}


#: kombu reads them in spite of that.
DELIVERED = {"an unknown encoding"}


def test_no_item_on_the_queue_ends_the_worker(process, settings, store, until):
    client = Client(settings)
    for name, item in HOSTILE.items():
        store.lpush(settings.queue, item)
        result = client.enqueue("Well?").wait(timeout_s=20)
        assert result.state is JobState.SUCCEEDED, name
        process.check()

    items = {name: item if isinstance(item, bytes) else item.encode() for name, item in HOSTILE.items()}
    dead = {letter.sha256: letter for letter in client.dead_letters()}
    kept = {name: dead[digest] for name, item in items.items() if (digest := hashlib.sha256(item).hexdigest()) in dead}
    assert items.keys() - kept.keys() == DELIVERED
    for name, letter in kept.items():
        assert base64.b64decode(letter.body) == items[name][:65_536]
        assert letter.size == len(items[name])
    assert "NotRegistered" in store.get("celery-task-meta-x-1"), "its sender receives an error"
    until(lambda: not any(each.endswith(', "", "x"]') for each in store.hvals("unacked")))
    assert "Well?" not in process.log()
