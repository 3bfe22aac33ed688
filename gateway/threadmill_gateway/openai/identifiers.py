"""The ids of OpenAI's objects: a prefix and the id of the job. PURE."""

import re
import uuid

RESPONSE, COMPLETION, MESSAGE = "resp_", "chatcmpl-", "msg_"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{32}")


def id_of(prefix: str, job_id: str) -> str:
    """Returns the id of an object of a job. A UUID is written without dashes, any other id as it is."""
    return prefix + (job_id.replace("-", "") if _UUID.fullmatch(job_id) else job_id)


def job_of(prefix: str, id: str) -> str | None:
    """Returns the id of the job; None if the prefix is another one."""
    if not id.startswith(prefix):
        return None
    rest = id[len(prefix) :]
    return str(uuid.UUID(rest)) if _HEX.fullmatch(rest) else rest
