"""Signatures of webhooks, as the library of Standard Webhooks makes and verifies them."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.secrets.signature import TOLERANCE_S, BadSecret, BadSignature, headers, key_of, verify

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_the_headers_are_those_of_the_specification():
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    found = headers("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, b'{"email":"test@example.com"}', key_of(secret))
    assert found["webhook-timestamp"] == "1649367553"
    assert found["webhook-signature"].startswith("v1,")


def test_the_library_of_standard_webhooks_verifies_it():
    library = pytest.importorskip("standardwebhooks", reason="comes with the extra `dev`")
    body = '{"type":"job.succeeded","data":{"text":"雨"}}'.encode()
    sent = headers("msg_1", int(time.time()), body, key_of(SECRET))
    assert library.Webhook(SECRET).verify(body, sent)["type"] == "job.succeeded"
    with pytest.raises(library.WebhookVerificationError):
        library.Webhook(SECRET).verify(body + b" ", sent)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_c2hvcnQ=", "sk-an-api-key-of-a-server"])
def test_a_bad_secret_is_refused_without_showing_it(secret):
    with pytest.raises(BadSecret) as error:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(error.value)


def test_without_a_secret_there_is_no_signature():
    assert set(headers("msg_1", 1, b"", None)) == {"webhook-id", "webhook-timestamp"}


def test_what_the_library_signs_is_verified():
    library = pytest.importorskip("standardwebhooks", reason="comes with the extra `dev`")
    signature = library.Webhook(SECRET).sign("wh_1", datetime.fromtimestamp(1000, UTC), '{"type":"雨"}')
    sent = {"webhook-id": "wh_1", "webhook-timestamp": "1000", "webhook-signature": signature}
    verify(sent, '{"type":"雨"}'.encode(), key_of(SECRET), 1000.0)


def test_while_a_secret_is_changed_one_of_several_signatures_is_enough():
    other = headers("wh_1", 1000, b"{}", bytes(32))["webhook-signature"]
    sent = headers("wh_1", 1000, b"{}", key_of(SECRET))
    verify(sent | {"webhook-signature": f"{other} v1a,abc {sent['webhook-signature']}"}, b"{}", key_of(SECRET), 1000)
    with pytest.raises(BadSignature):
        verify(sent | {"webhook-signature": other}, b"{}", key_of(SECRET), 1000)


@pytest.mark.parametrize("late_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_a_webhook_may_be_some_minutes_old(late_s):
    verify(headers("wh_1", 1000, b"{}", key_of(SECRET)), b"{}", key_of(SECRET), 1000 + late_s)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"webhook-timestamp": str(1000 - TOLERANCE_S - 1)}, "differs"),
        ({"webhook-timestamp": str(1000 + TOLERANCE_S + 1)}, "differs"),
        ({"webhook-timestamp": "soon"}, "not a number"),
        ({"webhook-timestamp": "9" * 5000}, "not a number"),
        ({"webhook-timestamp": "1001"}, "no signature"),
        ({"webhook-id": "wh_2"}, "no signature"),
        ({"webhook-signature": ""}, "no signature"),
        ({"webhook-signature": "v1,é"}, "no signature"),
    ],
)
def test_another_webhook_is_refused(changed, reason):
    sent = headers("wh_1", 1000, b"{}", key_of(SECRET))
    with pytest.raises(BadSignature, match=reason):
        verify(sent | changed, b"{}", key_of(SECRET), 1000)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name):
    sent = headers("wh_1", 1000, b"{}", key_of(SECRET))
    del sent[name]
    with pytest.raises(BadSignature, match=name):
        verify(sent, b"{}", key_of(SECRET), 1000)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_no_other_body_has_the_signature(body, other):
    sent = headers("wh_1", 1000, body, key_of(SECRET))
    if body != other:
        with pytest.raises(BadSignature):
            verify(sent, other, key_of(SECRET), 1000)
