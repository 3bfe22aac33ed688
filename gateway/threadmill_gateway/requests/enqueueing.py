"""Jobs of callers: what a job over HTTP may ask for, and whose it is."""

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from threadmill.async_client import AsyncJobHandle
from threadmill.errors import JobNotFound, ThreadNotFound
from threadmill.job.callback import Callback
from threadmill.job.prompt import PromptJob
from threadmill.names import NAME_RULE, is_name
from threadmill.settings.settings import Settings
from threadmill_gateway.requests.callers import Caller, record_of
from threadmill_gateway.requests.problems import Problem, wrong_field
from threadmill_gateway.requests.state import Gateway

#: When a caller with too many open jobs may try again, in seconds: some job may have ended then.
_FULL_RETRY_S = 5

#: The longest idempotency key that can be stored, with the caller's name.
_KEY_LENGTH = 512


async def enqueue(gateway: Gateway, caller: Caller, job: PromptJob) -> AsyncJobHandle:
    """Enqueues a job as the caller's. Raises Problem, and the errors of `Client.enqueue`."""
    return (await enqueue_many(gateway, caller, [job]))[0]


async def enqueue_many(gateway: Gateway, caller: Caller, jobs: Sequence[PromptJob]) -> list[AsyncJobHandle]:
    """Enqueues jobs as the caller's, or none of them. Raises Problem, and the errors of `Client.enqueue_many`."""
    owned = [owned_by(caller, job, gateway.settings) for job in jobs]
    for job in owned:
        await _check_thread(gateway, caller, job)
    await _check_room(gateway, caller, len(owned))
    return await gateway.client.enqueue_many(owned)


def owned_by(caller: Caller, job: PromptJob, settings: Settings) -> PromptJob:
    """Returns the job as the caller's. Raises Problem if it asks for what the caller may not have. PURE."""
    if job.paths:
        raise wrong_field(
            "files" if any(file.path for file in job.files) else "images",
            f"a job over HTTP cannot name a local file ({job.paths[0]!r:.100})",
            "upload the file and name its id, or use a URL or a data URL for an image",
        )
    if caller.key is None:
        return job
    endpoint = settings.endpoint_name(job.endpoint) if job.endpoint is None else job.endpoint
    if not caller.may_use(endpoint):
        allowed = ", ".join(caller.key.endpoints or ())
        reason = f"the API key {caller.name} may not use the endpoint {endpoint!r:.210}"
        raise wrong_field("endpoint", reason, f"use {allowed}", HTTPStatus.FORBIDDEN)
    fields = _ownership(caller, job)
    if job.callback is not None:
        fields["callback_secret_env"] = with_secret(caller, job.callback).secret_env
    return job.model_copy(update=fields)


def _ownership(caller: Caller, job: PromptJob) -> dict[str, Any]:
    """Returns the fields that make the job the caller's."""
    if job.tenant not in (None, caller.name) and not caller.operates:
        reason = f"the jobs of the API key {caller.name} have its name as `tenant`"
        raise wrong_field("tenant", reason, "leave `tenant` out", HTTPStatus.FORBIDDEN)
    fields: dict[str, Any] = {"tenant": job.tenant or caller.name}
    if job.key is not None:
        fields["key"] = caller.stored_key(job.key)
        if len(fields["key"]) > _KEY_LENGTH:
            longest = _KEY_LENGTH - len(caller.stored_key(""))
            reason = f"the idempotency key has more than {longest} characters"
            raise wrong_field("key", reason, "use a shorter one")
    if job.batch is not None:
        fields["batch"] = caller.stored_batch(job.batch)
        if not is_name(fields["batch"]):
            reason = f"the name of the batch is too long: with the caller's name and a dot, {NAME_RULE}"
            raise wrong_field("batch", reason, "use a shorter one")
    return fields


def with_secret(caller: Caller, callback: Callback) -> Callback:
    """Returns a receiver whose callbacks are signed with the secret of the caller's key, unless it names another.

    Raises Problem if the caller may not choose that one.
    """
    own = caller.key.callback_secret_env if caller.key else None
    if callback.secret_env not in (None, own) and not caller.operates:
        reason = f"the API key {caller.name} may not choose the secret that signs its callbacks"
        remedy = "leave it out; an operator sets it with the key (--callback-secret-env)"
        raise wrong_field("callback_secret_env", reason, remedy, HTTPStatus.FORBIDDEN)
    return callback.model_copy(update={"secret_env": callback.secret_env or own})


async def _check_thread(gateway: Gateway, caller: Caller, job: PromptJob) -> None:
    """Raises Problem if the job continues a thread, unless a job of the caller was the last one that ended on it."""
    if job.thread is None or caller.operates:
        return
    endpoint = gateway.settings.endpoint_name(job.endpoint)
    with suppress(ThreadNotFound, JobNotFound):
        last, *_ = await gateway.client.jobs_on_thread(job.thread, endpoint)
        await record_of(gateway, caller, last)
        return
    reason = f"no job of the API key {caller.name} has kept the thread {job.thread:.100}"
    raise wrong_field("thread", reason, "name the thread of one of your own jobs", HTTPStatus.FORBIDDEN)


async def _check_room(gateway: Gateway, caller: Caller, more: int) -> None:
    """Raises Problem if the caller would have too many open jobs. Requests at the same time may exceed that a little:
    each of them counts before it enqueues."""
    limit = caller.key.max_open_jobs if caller.key else None
    if caller.name is None or limit is None:
        return
    there = await gateway.client.open_jobs(caller.name)
    if there + more > limit:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"the API key {caller.name} may have {limit:,} open jobs, and has {there:,}",
            "wait until jobs have ended, or cancel some",
            headers={"Retry-After": str(_FULL_RETRY_S)},
        )
