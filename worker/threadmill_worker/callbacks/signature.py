"""Signs a callback after Standard Webhooks 1.0: an HMAC with SHA-256 over its id, its time and its body.

The library `standardwebhooks` verifies these signatures in the tests. Workers do not need it for ten lines of hmac.
"""

import base64
import hmac

_PREFIX = "whsec_"


class BadSecret(Exception):
    """The secret is not `whsec_` and base64. The text does not contain it."""


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
        signed = f"{delivery_id}.{timestamp}.".encode() + body
        found["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return found
