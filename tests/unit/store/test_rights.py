"""The rights that docs/deploy.md lists are those that are tried, and those that our scripts use."""

import re
import shlex
from pathlib import Path

import pytest
from redis.lock import Lock
from tests.unit.store.test_scripts import NAMES

from threadmill.settings.settings import Settings
from threadmill.store.rights import ROLES, acl, grant, of_producer, of_worker, set_user
from threadmill.store.scripts import source

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "docs" / "deploy.md"


def scripts_of(*packages):
    """The scripts that the code of these packages names."""
    texts = [path.read_text("utf-8") for package in packages for path in package.rglob("*.py")]
    return {name for name in NAMES if any(f'"{name}"' in text for text in texts)}


OF_PRODUCER = scripts_of(ROOT / "producer", ROOT / "gateway", ROOT / "cli")
OF_WORKER = scripts_of(ROOT / "worker", ROOT / "producer" / "threadmill" / "store")


def test_every_script_is_run_by_somebody():
    assert set(NAMES) == OF_PRODUCER | OF_WORKER
    assert {"keys/admit", "callbacks/retry", "write_with_lease"} <= OF_PRODUCER
    assert {"jobs/claim", "lane/wait"} <= OF_WORKER - OF_PRODUCER


@pytest.mark.parametrize(
    ("rights", "run"),
    [(of_producer(Settings()), OF_PRODUCER), (of_worker(Settings()), OF_WORKER - {"jobs/watch"})],
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


@pytest.mark.parametrize("role", ROLES)
def test_the_line_for_a_user_has_exactly_the_rights_of_its_role(role):
    settings = Settings(key_prefix="app", queue="prompts")
    words = shlex.split(set_user(role, settings))
    assert words == ["redis-cli", "ACL", "SETUSER", role, "on", ">PASSWORD", "resetchannels", *words[7:]]
    assert words[7:] == acl(ROLES[role](settings))
    assert len(words) == len(set(words))
    assert "~app:*" in words
    assert "+@all" not in words


def test_names_of_the_settings_are_in_the_rules():
    settings = Settings(key_prefix="app", queue="prompts", redis_url="redis://u@h/3")
    rules = acl(of_worker(settings))
    assert {"~app:*", "~prompts*", "&/3.celery.pidbox", "+select"} <= set(rules)
    assert grant(settings, ["+info"]) == "ACL SETUSER u +info"
    assert grant(Settings(), ["+info"]) == "ACL SETUSER default +info"
