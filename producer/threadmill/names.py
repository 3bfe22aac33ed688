"""The patterns of names that come from outside and become part of a Redis key, a path or a URL.

No name contains a slash, and no id a colon: neither can address another job's keys or leave a folder.
"""

import re
from typing import Annotated, Any

from pydantic import StringConstraints

#: A batch, a profile or an endpoint.
Name = Annotated[str, StringConstraints(pattern=r"^[\w.@+-]{1,200}$")]

#: A thread, a conversation or a response, as its server calls it; some servers encode much in an id.
ThreadId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.=~+-]{0,511}$")]

#: What a job id looks like, for messages.
JOB_ID_RULE = "a job id has 1 to 200 letters (A-Z), digits, `_`, `.`, `-`, and begins with a letter or a digit"

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def is_job_id(value: Any) -> bool:
    """Whether a value from outside may be used as a job id."""
    return isinstance(value, str) and _JOB_ID.fullmatch(value) is not None
