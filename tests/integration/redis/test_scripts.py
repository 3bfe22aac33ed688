"""Each Lua script can be called twice, as after a lost reply: the second call does no harm."""

import re
import uuid

import pytest
from tests.unit.store.test_scripts import NAMES

from threadmill.job.prompt import PromptJob
from threadmill.store import requests
from threadmill.store.keys import Keys
from threadmill.store.scripts import Scripts, source

pytestmark = pytest.mark.integration

ID, OWNED = {"id": "j"}, {"id": "j", "owner": "w:1"}
FILE = '{"endpoint":"e","kind":"file","id":"file-1"}'
RUN = '{"endpoint":"e","kind":"run","id":"thread_1/run_1"}'
THREAD = '{"endpoint":"e","id":"thread_1","job_id":"j","created_at":1,"used_at":1,"jobs":1,"things":{}}'
CREATE = requests.create(
    "j", PromptJob(prompt="Why?", key="k", batch="b", tenant="t", thread="thread_1"), "e", ["f"], 60
)
CLAIM = ("jobs/claim", OWNED | {"lease_s": 60})
SLOTS = ("jobs/renew", {"lease_s": 60, "jobs": [], "worker": "w", "free": 1})
HAND_BACK = ("jobs/hand_back", OWNED)
EXPIRED = ("jobs/claim", OWNED | {"lease_s": -1})
FINISH = (
    "jobs/finish",
    OWNED
    | {
        "state": "failed",
        "result": "{}",
        "ttl_s": 60,
        "longest_ttl_s": 90,
        "celery_key": "celery-task-meta-j",
        "celery_result": '{"status": "SUCCESS"}',
        "failure": "stuck",
        "hour_counts": {"ended:failed:stuck:e": "1"},
        "batch_stats": {"duration:5": "1"},
        "batch_counts": {"failed:stuck": "1", "usage:total_tokens::m": str(2**62)},
        "leftovers": [RUN, FILE],
        "thread_ttl_s": 60,
    },
)
AWAITING = ("jobs/save", OWNED | {"progress": "{}", "awaited": {"endpoint": "e", "run": "resp_1", "ttl_s": 60}})
WAIT = ("lane/wait", OWNED | {"lane": "e/m", "longest_s": -1, "deadline": 9e9})
COLLECT = (
    "lane/collect",
    {"lane": "e/m", "endpoint": "other", "limit": 1, "wait_s": 60, "name": "r", "remote_batch": "{}"}
    | {"at_once": 9, "skip": 0, "is_more": False},
)
SHARED = {"batch": "b", "name": "file"}
NEW = {"name": "s", "remote_batch": "{}", "jobs": ["j"]}
RECEIVER = {"callback": '{"url": "https://shop.example/hook"}'}
CALLED = [
    ("jobs/create", CREATE | RECEIVER | {"id": "c", "idempotency_key": None}),
    ("jobs/finish", FINISH[1] | {"id": "c", "owner": None, "state": "cancelled"}),
]
DELIVERY = {"id": "msg_c_1"}
TAKE = ("callbacks/take", {"hold_s": 60, "busy": []})
DEAD = ("callbacks/settle", DELIVERY | {"attempt": 1, "state": "dead", "reason": "HTTP 410", "ttl_s": 60})

#: By script: the calls before, the request, and both replies; None: whatever it is, both are the same.
CASES = {
    "jobs/create": ([], {}, ["created", "j", "queued"], ["found", "j", "queued"]),
    "jobs/claim": ([], CLAIM[1], None, None),
    "jobs/renew": ([CLAIM], {"lease_s": 60, "jobs": [OWNED | {"calls": 7}, {"id": "k", "owner": "w:2"}]}, None, None),
    "jobs/save": ([CLAIM], OWNED | {"progress": "{}"}, ["saved"], ["saved"]),
    "jobs/count_interruption": ([CLAIM], OWNED, ["counted", 1], ["counted", 2]),
    "jobs/move": ([CLAIM], OWNED | {"moves": "[]", "calls": 7, "leftovers": [FILE]}, ["queued"], ["lost"]),
    "jobs/hand_back": ([CLAIM], OWNED | {"calls": 7}, ["queued"], ["lost"]),
    "jobs/finish": ([CLAIM], FINISH[1], ["finished"], ["failed"]),
    "jobs/request_cancel": ([CLAIM], ID, ["running"], ["running"]),
    "jobs/redrive": ([CLAIM, FINISH], ID | {"celery_key": "celery-task-meta-j"}, ["queued"], ["queued"]),
    "jobs/delete": ([CLAIM, FINISH], ID, ["deleted"], ["missing"]),
    "jobs/watch": ([CLAIM], ID, None, None),
    "jobs/rescue": ([EXPIRED], {"worker": "w", "limit": 9, "interruptions": 9}, ["rescued", "j", 1], ["rescued"]),
    "queue/dispatch": ([SLOTS], {}, ["dispatched", 0], ["dispatched", 0]),
    "queue/position": ([], ID, ["ready", "normal|t|b|f", 0], ["ready", "normal|t|b|f", 0]),
    "queue/undelivered": ([SLOTS], {"older_than_s": -1}, ["found", "j"], ["found", "j"]),
    "queue/return": ([SLOTS], {"jobs": ["j"]}, ["returned", "j"], ["returned", "j"]),
    "queue/adopt": ([CLAIM, HAND_BACK], {"start": 0, "limit": 9}, None, None),
    "batches/limit": ([], {"name": "b", "concurrent": 2}, None, None),
    "batches/callback": ([], RECEIVER | {"name": "b"}, ["awaited"], ["awaited"]),
    "callbacks/take": (CALLED, TAKE[1], ["taken", "msg_c_1"], ["none"]),
    "callbacks/settle": ([*CALLED, TAKE], DEAD[1], ["settled"], ["lost"]),
    "callbacks/retry": ([*CALLED, TAKE, DEAD], DELIVERY, ["pending"], ["pending"]),
    "callbacks/drop": ([*CALLED, TAKE, DEAD], DELIVERY, ["dropped"], ["missing"]),
    "endpoints/resume": ([], {"name": "e"}, ["resumed"], ["running"]),
    "keys/admit": (
        [],
        {"id": "abc", "per_minute": 1},
        ["admitted", 0],
        ["refused", 0],
    ),
    "lane/wait": ([CLAIM], WAIT[1], ["waits"], ["lost"]),
    "lane/collect": ([CLAIM, WAIT], COLLECT[1], ["collected", 1, 0], ["collected", 0, 0]),
    "lane/release": ([CLAIM, WAIT, COLLECT], ID | {"name": "r", "progress": "{}"}, ["released"], ["gone"]),
    "lane/replace": (
        [CLAIM, WAIT, COLLECT],
        {"name": "r", "new": [NEW], "is_last": True, "leftovers": [FILE]},
        ["replaced"],
        ["gone"],
    ),
    "lane/overdue": ([CLAIM, WAIT], {"limit": 9}, ["found", "j"], ["found", "j"]),
    "remote/claim_shared": ([], SHARED | {"job_id": "j", "hold_s": 60}, ["claimed"], ["claimed"]),
    "remote/add_shared": ([], SHARED | {"object": FILE}, ["added"], ["added"]),
    "remote/release_shared": (
        [("remote/claim_shared", SHARED | {"job_id": "j", "hold_s": 60})],
        SHARED | {"job_id": "j"},
        ["released"],
        ["released"],
    ),
    "remote/forget_thread": (
        [CLAIM, (FINISH[0], FINISH[1] | {"kept_thread": THREAD})],
        {"name": "e/thread_1", "force": True, "leftovers": [FILE]},
        ["forgotten"],
        ["forgotten"],
    ),
    "remote/forget_expired": ([], {"limit": 9}, ["forgotten", 1], ["forgotten", 0]),
    "remote/take_leftover": ([CLAIM, FINISH], {"hold_s": 60}, ["taken", RUN], ["none"]),
    "remote/postpone_leftover": (
        [CLAIM, FINISH],
        {"leftover": RUN, "first_delay_s": 10, "limit": 2, "ttl_s": 60},
        ["postponed", 1],
        ["postponed", 2],
    ),
    "tenants/open": ([CLAIM], {"tenant": "t"}, ["open", 2], ["open", 2]),
    "webhooks/batch_ended": ([], {"endpoint": "e", "batch": "batch_1"}, ["told"], ["told"]),
    "webhooks/run_ended": ([CLAIM, AWAITING], {"endpoint": "e", "run": "resp_1"}, ["woken"], ["woken"]),
    "write_with_lease": ([], {"owner": "w", "field": "f", "value": "v"}, ["written"], ["written"]),
}

#: A repetition counts again, sends another message, tells a worker again, or forgets the lane, which is empty now.
CHANGING = (
    "jobs/count_interruption",
    "remote/postpone_leftover",
    "lane/collect",
    "queue/return",
    "webhooks/batch_ended",
    "webhooks/run_ended",
)


@pytest.fixture
def keys():
    return Keys(f"test-{uuid.uuid4().hex}")


@pytest.fixture
def run(store, keys):
    scripts = Scripts(store, keys.prefix, f"{keys.prefix}:celery")
    return lambda name, request: scripts.run(name, request)


def test_every_script_has_a_case():
    assert sorted(CASES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_redis_compiles_each_script(name, store):
    assert store.script_load(source(name))


@pytest.mark.parametrize("name", CASES)
def test_a_script_can_be_called_twice(name, run, store, keys):
    before, request, first, second = CASES[name]
    if name == "jobs/create":
        request = CREATE
    else:
        run("jobs/create", CREATE)
        run("jobs/create", CREATE | {"id": "next", "idempotency_key": None})
    if name == "remote/forget_thread":
        run(*before[0])
        run(*before[1])
        before, request = [], request | {"entry": store.hget(keys.threads, "e/thread_1")}
    if name == "remote/forget_expired":
        store.hset(keys.threads, "e/local", THREAD)
        store.zadd(keys.local_threads, {"e/local": 0})
    if name == "write_with_lease":
        request |= {"lease": keys.sweep, "hash": keys.workers}
    store.set(keys.sweep, "w")
    store.hset(keys.endpoints_paused, "e", "maintenance")
    for call in before:
        run(*call)

    replies = [run(name, request)]
    state = everything(store, keys)
    replies.append(run(name, request))

    if first is None:
        assert replies[0] == replies[1]
    else:
        assert [reply[: len(expected)] for reply, expected in zip(replies, (first, second), strict=True)] == [
            first,
            second,
        ]
    if name not in CHANGING:
        assert everything(store, keys) == state


def test_a_number_that_lua_cannot_hold_is_counted_exactly(run, store, keys):
    for call in (("jobs/create", CREATE), CLAIM, FINISH):
        run(*call)
    assert store.hget(keys.batch("b"), "usage:total_tokens::m") == str(2**62)


def everything(store, keys):
    """Returns all that is in Redis under the prefix, without times."""
    read = {
        "hash": lambda key: sorted(store.hgetall(key).items()),
        "string": store.get,
        "set": store.smembers,
        "list": lambda key: store.lrange(key, 0, -1),
        "stream": lambda key: [fields for _, fields in store.xrange(key)],
        "zset": lambda key: store.zrange(key, 0, -1),
    }
    found = {key: read[store.type(key)](key) for key in sorted(store.scan_iter(f"{keys.prefix}:*", 1000))}
    return re.sub(r"\d{10}\.\d+", "TIME", str(found))
