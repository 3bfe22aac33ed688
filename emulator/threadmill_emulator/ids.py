"""Identifiers in the form of the public servers: a prefix and 24 characters."""

import re
import secrets


def new_id(prefix: str) -> str:
    return f"{prefix}_{new_key()}"


def new_key() -> str:
    """Returns the end of an id."""
    return secrets.token_hex(12)


def is_made(id: str, prefix: str) -> bool:
    """Returns whether an id has the form of `new_id`."""
    return re.fullmatch(rf"{prefix}_[0-9a-f]{{24}}", id) is not None


def new_file_id() -> str:
    return f"file-{new_key()}"
