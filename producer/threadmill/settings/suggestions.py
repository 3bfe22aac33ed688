"""Suggests the setting that an unknown name means."""

from collections.abc import Iterable
from difflib import get_close_matches

#: Names of version 0.1 -> today's, where the spelling is too different to be found.
_RENAMED = {
    "entra_auth": "entra_auth",
    "on_locked_thread": "on_locked_thread",
    "expires_after": "upload_expiry",
    "batch_lane_limit_s": "batch_lane_limit_s",
    "cleanup_attempts": "cleanup_attempts",
    "first_poll_s": "first_poll_s",
    "max_poll_interval_s": "max_poll_interval_s",
    "idle_restart_s": "idle_restart_s",
    "store": "stored_responses",
    "indexing_limit_s": "indexing_limit_s",
}


def closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that an unknown one most likely means, or None."""
    known = list(known)
    if _RENAMED.get(name) in known:
        return _RENAMED[name]
    return next(iter(get_close_matches(name, known, 1)), None)
