"""Validates names that become part of a Redis key, a path or a URL, and cleans text for a terminal.

No name contains a slash and no id contains a colon, so neither can address another job's keys or leave a folder.
"""

import re
from typing import Annotated, Any

from pydantic import StringConstraints

_NAME = r"[\w.@+-]+"
_NAME_LENGTH = 200
_THREAD_ID = r"[A-Za-z0-9_][A-Za-z0-9_.=~+-]*"
_THREAD_ID_LENGTH = 512

# The lengths are not part of the patterns: pydantic would spend 30 ms on `\w{1,200}` in each model with a name.

#: The name of a batch, a profile or an endpoint.
Name = Annotated[str, StringConstraints(pattern=f"^{_NAME}$", max_length=_NAME_LENGTH)]

#: The server's id of a thread, a conversation or a response; some servers use long ids.
ThreadId = Annotated[str, StringConstraints(pattern=f"^{_THREAD_ID}$", max_length=_THREAD_ID_LENGTH)]

#: The rule for names of batches, for messages.
NAME_RULE = "a name has 1 to 200 letters, digits, `_`, `.`, `@`, `+`, `-`"

#: The rule for job ids, for messages.
JOB_ID_RULE = "a job id has 1 to 200 letters (A-Z), digits, `_`, `.`, `-`, and begins with a letter or a digit"

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_job_id(value: Any) -> bool:
    """Whether a value is a valid job id."""
    return isinstance(value, str) and _JOB_ID.fullmatch(value) is not None


def is_name(value: str) -> bool:
    """Whether a text is a valid name of a batch."""
    return len(value) <= _NAME_LENGTH and re.fullmatch(_NAME, value) is not None


def is_thread_id(value: str) -> bool:
    """Whether a text is a valid id of a thread."""
    return len(value) <= _THREAD_ID_LENGTH and re.fullmatch(_THREAD_ID, value) is not None


def printable(text: str) -> str:
    """Removes the characters that control a terminal; line breaks and tabs stay.

    Removes control characters, which begin escape sequences, characters that change the direction of the text, and
    surrogates, which cannot be encoded.
    """
    return text if text.isprintable() else _CONTROLS.sub("", text)
