"""The signature of a callback, which the library of Standard Webhooks verifies."""

import base64
import time

import pytest

from threadmill_worker.callbacks.signature import BadSecret, headers, key_of

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
