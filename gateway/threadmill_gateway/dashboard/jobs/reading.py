"""Reads what the page of a job shows besides its record."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from threadmill.client import Client
from threadmill.errors import ThreadNotFound
from threadmill.job.events.timeline import Timeline, TimelineKind
from threadmill.job_facts import facts_of
from threadmill.secrets.redaction import redact
from threadmill.store.records.job import JobRecord
from threadmill.store.records.packing import unpack_readable
from threadmill_gateway.dashboard.conversation import thread_of

#: Facts that are times.
_TIMES = frozenset({
    "starts_at", "created_at", "started_at", "finished_at", "lane_since", "next_try", "run_since", "limited_until",
    "call_error_since", "deadline",
})  # fmt: skip

#: Facts that say where the job is, and why. The others say what it is.
PLACE = (
    "waits_for", "left_alone", "starts_at", "lane_since", "remote_batch", "sent_again", "next_try", "worker", "thread",
    "run", "run_status", "run_since", "tools", "limited_by", "limited_until", "call_error", "failed_calls",
    "call_error_since", "ending", "deadline",
)  # fmt: skip

#: Fields of a record that hold what users, models and tools wrote.
_CONTENT = frozenset({"job", "progress", "result", "history", "timeline"})

#: Entries of a timeline that hold what models and tools wrote.
_TOOLS = frozenset({TimelineKind.TOOL_CALL, TimelineKind.TOOL_OUTPUT})


def read_facts(client: Client, record: JobRecord) -> dict[str, Any]:
    """Returns the facts about a job that are known, with times as such and lists as text."""
    facts = facts_of(client, record)
    return {name: _shown(name, value) for name, value in facts.items() if value not in (None, [])}


def _shown(name: str, value: Any) -> Any:
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return ", ".join(value) if isinstance(value, list) else value


def other_jobs(client: Client, record: JobRecord) -> list[str]:
    """Returns the jobs of a kept thread that are known besides this one: the last that ended, and those that wait."""
    thread, endpoint = thread_of(record), record.endpoint or client.settings.default_endpoint
    if thread is None or endpoint is None:
        return []
    try:
        return [job_id for job_id in client.jobs_on_thread(thread, endpoint) if job_id != record.id]
    except ThreadNotFound:
        return []


def raw_text(fields: Mapping[str, str], *, hides_content: bool) -> str:
    """Returns a record as it is stored, uncompressed and without secrets. `hides_content`: see `_CONTENT`."""
    shown = {
        name: "(hidden)" if hides_content and name in _CONTENT else unpack_readable(field)
        for name, field in fields.items()
    }
    return redact(json.dumps(shown, indent=2, ensure_ascii=False))


def shown_timeline(record: JobRecord, *, hides_content: bool) -> Timeline:
    """Returns the timeline of a job; without what tools were told and said, if that is hidden."""
    return tuple(
        entry._replace(detail=entry.detail.partition(" ")[0]) if hides_content and entry.kind in _TOOLS else entry
        for entry in record.full_timeline
    )
