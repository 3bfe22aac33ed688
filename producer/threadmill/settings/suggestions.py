"""Suggests the setting that an unknown name means."""

from collections.abc import Iterable
from difflib import get_close_matches

#: Names of version 0.1 -> today's, where the spelling is too different to be found.
_RENAMED = {
    "ad_token": "entra_auth",
    "busy_thread": "on_locked_thread",
    "expires_after": "upload_expiry",
    "lane_limit_s": "batch_lane_limit_s",
    "leftover_tries": "cleanup_attempts",
    "poll_first_s": "first_poll_s",
    "poll_longest_s": "max_poll_interval_s",
    "stall_s": "idle_restart_s",
    "store": "stored_responses",
    "store_limit_s": "indexing_limit_s",
}


def closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that an unknown one most likely means, or None."""
    known = list(known)
    if _RENAMED.get(name) in known:
        return _RENAMED[name]
    return next(iter(get_close_matches(name, known, 1)), None)
