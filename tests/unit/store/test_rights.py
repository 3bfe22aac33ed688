"""The rights that docs/deploy.md lists are those that are tried, and those that our scripts use."""

import re
import shlex
from pathlib import Path

import pytest
from redis.lock import Lock
from tests.unit.store.test_scripts import NAMES

from threadmill.settings.settings import Settings
from threadmill.store.rights import acl, grant, of_producer, of_worker
from threadmill.store.scripts import source

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy.md"

OF_PRODUCER = [
    "batches/limit",
    "endpoints/resume",
    "jobs/create",
    "jobs/delete",
    "jobs/finish",
    "jobs/request_cancel",
    "jobs/redrive",
    "jobs/watch",
    "queue/dispatch",
    "queue/position",
    "remote/forget_thread",
    "webhooks/batch_ended",
    "webhooks/run_ended",
    "write_with_lease",
]


@pytest.mark.parametrize(
    ("rights", "run"),
    [
        (of_producer(Settings()), OF_PRODUCER),
        (of_worker(Settings()), [name for name in NAMES if name != "jobs/watch"]),
    ],
    ids=["producer", "worker"],
)
def test_every_command_of_a_script_is_listed(rights, run):
    texts = [*map(source, run), Lock.LUA_RELEASE_SCRIPT, Lock.LUA_REACQUIRE_SCRIPT]
    called = {name.lower() for text in texts for name in re.findall(r"redis\.p?call\('([A-Za-z]+)'", text)}
    assert called
    assert called <= {right.name for right in rights}


@pytest.mark.parametrize(("user", "rights"), [("producer", of_producer(Settings())), ("worker", of_worker(Settings()))])
def test_the_docs_list_exactly_these_rights(user, rights):
    [command] = re.findall(rf"^redis-cli ACL SETUSER {user} ((?:.*\\\n)*.*)$", DEPLOY.read_text("utf-8"), re.M)
    assert shlex.split(command.replace("\\\n", "")) == ["on", ">PASSWORD", "resetchannels", *acl(rights)]


def test_names_of_the_settings_are_in_the_rules():
    settings = Settings(key_prefix="app", queue="prompts", redis_url="redis://u@h/3")
    rules = acl(of_worker(settings))
    assert {"~app:*", "~prompts*", "&/3.celery.pidbox", "+select"} <= set(rules)
    assert grant(settings, ["+info"]) == "ACL SETUSER u +info"
    assert grant(Settings(), ["+info"]) == "ACL SETUSER default +info"
