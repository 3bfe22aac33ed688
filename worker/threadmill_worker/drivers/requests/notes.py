"""The notes that the worker adds to a run's instructions."""

from datetime import datetime
from zoneinfo import ZoneInfo

from threadmill.settings.endpoints.endpoint import Endpoint
from threadmill_worker.drivers.requests.job_spec import JobSpec
from threadmill_worker.lifecycle.progress import Progress


def with_notes(spec: JobSpec, progress: Progress, *notes: str | None) -> str | None:
    """Returns the instructions of a run with all that is added to them; None if there are none."""
    said = [spec.instructions, spec.job.additional_instructions, *notes, schema_error_note(progress)]
    return "\n".join(note for note in said if note) or None


def current_time_note(endpoint: Endpoint, at: float | None = None) -> str | None:
    """Returns the note about the current time, or None. `at`: the time; default: now."""
    if endpoint.current_time_note is None:
        return None
    zone = ZoneInfo(endpoint.current_time_zone) if endpoint.current_time_zone else None
    moment = datetime.now(zone) if at is None else datetime.fromtimestamp(at, zone)
    return moment.astimezone(zone).strftime(endpoint.current_time_note)


def schema_error_note(progress: Progress) -> str | None:
    """Returns the note to the model after an answer that did not match the response format, or None."""
    if progress.schema_error is None:
        return None
    return (
        f"Your last answer did not match the required format: {progress.schema_error}\n"
        "Answer again, with nothing but that format."
    )
