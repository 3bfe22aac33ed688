"""The commands that create API keys, list them and revoke them."""

import json
from datetime import datetime

import pytest

from threadmill import Client
from threadmill.job.api_key import KeyText

pytestmark = pytest.mark.integration


@pytest.fixture
def call(run_cli, settings):
    variables = {"THREADMILL_REDIS_URL": settings.redis_url, "THREADMILL_KEY_PREFIX": settings.key_prefix}
    return lambda *arguments: run_cli("keys", *arguments, **variables)


def test_a_key_is_printed_once_and_alone(call, client: Client):
    done = call("create", "shop")
    assert done.returncode == 0
    text = done.stdout.removesuffix("\n")
    parts = KeyText.parse(text)
    assert parts is not None
    [key] = client.api_keys()
    assert key.matches(parts.secret)
    assert "the key of shop, valid until it is revoked" in done.stderr
    for listed in (call(), call("list", "--json")):
        assert key.id in listed.stdout
        assert parts.secret not in listed.stdout + listed.stderr
        assert key.sha256 not in listed.stdout


def test_the_options_are_the_fields_of_the_key(call, client: Client):
    options = (
        "--scopes",
        "operate, read",
        "--endpoints",
        "emulator",
        "--expires",
        "90d",
        "--requests-per-minute",
        "60",
    )
    limits = ("--max-open-jobs", "100", "--max-body-bytes", "1000", "--callback-secret-env", "SHOP_SECRET")
    made = json.loads(call("create", "shop", *options, *limits, "--json").stdout)
    assert made.pop("key").startswith(f"tm_{made['id']}_")
    assert made | {"id": "", "created_at": "", "expires_at": ""} == {
        "name": "shop",
        "id": "",
        "scopes": ["read", "operate"],
        "endpoints": ["emulator"],
        "created_at": "",
        "expires_at": "",
        "requests_per_minute": 60,
        "max_open_jobs": 100,
        "max_body_bytes": 1000,
        "callback_secret_env": "SHOP_SECRET",
    }
    valid = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert valid.days in (89, 90), "its end is computed just before"
    assert json.loads(call("list", "--json").stdout) == [made]


def test_a_revoked_key_is_gone(call, client: Client):
    call("create", "shop")
    assert "the key of shop is revoked" in call("revoke", "shop").stderr
    assert client.api_keys() == []
    again = call("revoke", "shop")
    assert again.returncode == 2
    assert "there is no API key named 'shop'" in again.stderr
    assert "there are no API keys" in call("list").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shop.berlin",), "the name of an API key has 1 to 100 letters"),
        (("shop", "--scopes", "admin"), "Input should be 'enqueue', 'read' or 'operate'"),
        (("shop", "--scopes", ""), "`scopes`"),
        (("shop", "--endpoints", "davinchi"), "there is no endpoint 'davinchi'"),
        (("shop", "--expires", "soon"), "'soon' is not a time span"),
        (("shop", "--expires", "9999999999d"), "longer than any time span"),
        (("shop", "--expires", "9999999d"), "is too long"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_created(call, client: Client, arguments, says):
    done = call("create", *arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert (done.stdout, client.api_keys()) == ("", [])
