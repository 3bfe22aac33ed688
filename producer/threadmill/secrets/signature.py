"""Signatures after Standard Webhooks 1.0: an HMAC with SHA-256 over the id, the time and the body of a webhook.

Workers sign callbacks, and the gateway verifies what servers send. The library `standardwebhooks` confirms both in the
tests; it would bring four others for ten lines of hmac.
"""

import base64
import hmac
from collections.abc import Mapping

_PREFIX = "whsec_"

#: How much the time of a webhook may differ from now, in seconds. Later it counts as a replay.
TOLERANCE_S = 300


class BadSecret(Exception):
    """The secret is not `whsec_` and base64. The text does not contain it."""


class BadSignature(Exception):
    """The sender of a webhook does not know the secret, or sent it too long ago."""


def key_of(secret: str) -> bytes:
    """Returns the key of a secret `whsec_...`. Raises BadSecret."""
    text = secret.strip()
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(_PREFIX) or len(key) < 16:
        raise BadSecret("not a secret: write whsec_ and at least 24 bytes in base64 (openssl rand -base64 32)")
    return key


def headers(delivery_id: str, timestamp: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """Returns the headers of a callback; without a key, those without a signature. `timestamp`: of this attempt."""
    found = {"webhook-id": delivery_id, "webhook-timestamp": str(timestamp)}
    if key is not None:
        found["webhook-signature"] = _signature(delivery_id, str(timestamp), body, key).decode()
    return found


def verify(received: Mapping[str, str], body: bytes, key: bytes, now: float) -> None:
    """Raises BadSignature unless one of the signatures in the headers of a webhook was made with this key.

    `received`: headers by lower-case name. `now`: seconds since 1970. While a server changes its secret, it sends a
    signature with each.
    """
    try:
        webhook_id, timestamp = received["webhook-id"], received["webhook-timestamp"]
        signatures = received["webhook-signature"].encode()
    except KeyError as missing:
        raise BadSignature(f"the header {missing.args[0]} is missing") from None
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 20):
        raise BadSignature("webhook-timestamp is not a number of seconds since 1970")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise BadSignature(f"webhook-timestamp differs by more than {TOLERANCE_S} s from the time of this machine")
    expected = _signature(webhook_id, timestamp, body, key)
    if not any(hmac.compare_digest(expected, each) for each in signatures.split()):
        raise BadSignature("no signature in webhook-signature matches the body and the secret")


def _signature(webhook_id: str, timestamp: str, body: bytes, key: bytes) -> bytes:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
