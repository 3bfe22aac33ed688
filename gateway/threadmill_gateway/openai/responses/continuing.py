"""Which thread a response continues: that of the previous response, if nothing came after it."""

from threadmill.errors import JobNotFound, ThreadNotFound
from threadmill.job.prompt import PromptJob
from threadmill.job.result import TERMINAL
from threadmill.store.records.job import JobRecord
from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.identifiers import RESPONSE, id_of, job_of
from threadmill_gateway.requests.callers import Caller, record_of
from threadmill_gateway.requests.state import Gateway

PARAM = "previous_response_id"


async def continued(
    gateway: Gateway, caller: Caller, job: PromptJob, previous: str | None, key: str | None
) -> PromptJob:
    """Returns the job with the thread of the previous response. Raises ApiError. `key`: the job's idempotency key.

    A thread has one order of messages, so only its last response can be continued. Two requests that continue it at the
    same time may both be accepted; then the second one also reads the messages of the first.
    """
    if previous is None:
        return job
    record = await _previous(gateway, caller, previous)
    thread, endpoint = _thread_of(record, previous)
    if job.endpoint != endpoint:
        raise ApiError(
            400, f"The previous response ran on {endpoint}: use its model.", param="model", code="invalid_value"
        )
    try:
        *_, last = await gateway.client.jobs_on_thread(thread, endpoint)
    except ThreadNotFound:
        raise _refusal(f"The thread of the response '{previous}' was deleted or has expired.") from None
    if last != record.id and not (key and await _has_key(gateway, last, caller.stored_key(key))):
        latest = id_of(RESPONSE, last)
        raise _refusal(f"The response '{previous}' was continued by '{latest}': continue from the last one.")
    return job.model_copy(update={"thread": thread})


async def _previous(gateway: Gateway, caller: Caller, previous: str) -> JobRecord:
    try:
        return await record_of(gateway, caller, job_of(RESPONSE, previous) or "-")
    except JobNotFound:
        text = f"Previous response with id '{previous:.200}' not found."
        raise ApiError(400, text, param=PARAM, code="previous_response_not_found") from None


def _thread_of(record: JobRecord, previous: str) -> tuple[str, str]:
    """Returns the thread that a response has kept, and its endpoint."""
    if record.state not in TERMINAL or record.result is None:
        raise _refusal(f"The response '{previous}' has not ended: wait for it.")
    if record.result.thread_id is None:
        raise _refusal(f"The response '{previous}' kept no thread: create it with store=true to continue it.")
    return record.result.thread_id, record.endpoint or ""


async def _has_key(gateway: Gateway, job_id: str, key: str) -> bool:
    """Whether the job has this idempotency key: the request was sent before."""
    try:
        return (await gateway.client.get(job_id)).job.key == key
    except JobNotFound:
        return False


def _refusal(reason: str) -> ApiError:
    return ApiError(400, reason, param=PARAM, code="invalid_value")
