"""API keys: their text, what a stored key holds, and what opens nothing."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from threadmill import ApiKey, InvalidApiKey, Scope
from threadmill.job.api_key import KeyText, new_api_key

NOW = datetime(2026, 11, 29, 6, tzinfo=UTC)


def test_a_new_key_matches_its_own_secret_alone():
    made, other = new_api_key("shop", NOW), new_api_key("shop", NOW)
    parts, others = KeyText.parse(made.text), KeyText.parse(other.text)
    assert parts is not None
    assert others is not None
    assert parts.id == made.key.id
    assert made.key.matches(parts.secret)
    assert not made.key.matches(others.secret)
    assert not made.key.matches("")
    assert made.key.scopes == (Scope.ENQUEUE, Scope.READ)


def test_neither_a_stored_key_nor_a_repr_holds_the_secret():
    made = new_api_key("shop", NOW)
    parts = KeyText.parse(made.text)
    assert parts is not None
    for text in (made.key.stored, repr(made), str(made), repr(made.key)):
        assert parts.secret not in text
    assert made.key.sha256 not in repr(made)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text + "\n",
        lambda text: text.upper(),
        lambda text: text.replace("tm_", "sk_"),
        lambda text: text[:-1] + "é",
        lambda text: "",
    ],
)
def test_another_text_is_no_key(change):
    assert KeyText.parse(change(new_api_key("shop", NOW).text)) is None


def test_a_stored_key_is_read_again():
    made = new_api_key(
        "shop@berlin",
        NOW,
        scopes=["read", "enqueue", "read"],
        endpoints=["davinci"],
        expires_at=NOW + timedelta(days=90),
        requests_per_minute=60,
        max_open_jobs=100,
        max_body_bytes=1_000_000,
        callback_secret_env="SHOP_SECRET",
    ).key
    assert ApiKey.read("shop@berlin", made.stored) == made
    assert made.scopes == (Scope.ENQUEUE, Scope.READ)


def test_a_key_expires_at_its_time():
    key = new_api_key("shop", NOW, expires_at=NOW + timedelta(hours=1)).key
    assert not key.has_expired(NOW + timedelta(minutes=59))
    assert key.has_expired(NOW + timedelta(hours=1))
    assert not new_api_key("shop", NOW).key.has_expired(NOW + timedelta(days=99_999))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "shop.berlin"}, "`name`: the name of an API key has 1 to 100 letters"),
        ({"name": "a/b"}, "`name`"),
        ({"name": "x" * 101}, "`name`"),
        ({"name": "shop\n"}, "`name`"),
        ({"scopes": []}, "`scopes`"),
        ({"scopes": ["admin"]}, "'enqueue', 'read' or 'operate'"),
        ({"endpoints": []}, "`endpoints`"),
        ({"requests_per_minute": 0}, "`requests_per_minute`"),
        ({"max_open_jobs": -1}, "`max_open_jobs`"),
        ({"expires_at": datetime(2027, 1, 1)}, "`expires_at`"),  # without a time zone
        ({"expires_at": NOW}, "`expires_at`: 2026-11-29 06:00:00.* has passed; give a later time"),
        ({"callback_secret_env": "not a name"}, "`callback_secret_env`"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_wrong_field_is_named(fields, says):
    with pytest.raises(InvalidApiKey, match=says):
        new_api_key(**{"name": "shop", "created_at": NOW} | fields)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": ""},
        {"created_at": None},
        {"scopes": ["fly"]},
        {"only_from": ["10.0.0.0/8"]},  # a restriction of a newer version
    ],
)
def test_a_damaged_or_newer_key_is_not_read(change):
    stored = json.loads(new_api_key("shop", NOW).key.stored)
    with pytest.raises((ValueError, ValidationError)):
        ApiKey.read("shop", json.dumps(stored | change))
    for damaged in ("", "[]", "null", "{"):
        with pytest.raises(ValueError):  # noqa: PT011  # any
            ApiKey.read("shop", damaged)


def test_what_stands_for_an_unreadable_key_opens_nothing():
    key = ApiKey.unreadable("shop")
    assert not key.is_readable
    assert key.scopes == ()
    assert not key.matches("")
    assert not key.matches("x" * 43)
