"""Who calls, and what a caller may do."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from threadmill.errors import JobNotFound
from threadmill.job.api_key import ApiKey, Scope
from threadmill.job.callback import Callback
from threadmill.job.prompt import PromptJob
from threadmill.settings.settings import Settings
from threadmill.store.records import JobRecord
from threadmill_gateway.limits import check_body_bytes
from threadmill_gateway.problems import Problem
from threadmill_gateway.state import Gateway, Served

#: After so many seconds a caller with too many open jobs may try again.
_TRY_AGAIN_S = 5

_bearer = HTTPBearer(auto_error=False, description="An API key, which `threadmill keys create NAME` makes.")


@dataclass(frozen=True)
class Caller:
    """`key`: None if the gateway has no keys; then everybody may do everything.

    Without the scope `operate`, a caller knows only jobs whose tenant it is. Names that it chooses, of batches and
    idempotency keys, are its own: they are stored with its name in front.
    """

    key: ApiKey | None = None

    @property
    def name(self) -> str | None:
        return self.key.name if self.key else None

    def has(self, scope: Scope) -> bool:
        return self.key is None or scope in self.key.scopes

    @property
    def tenant(self) -> str | None:
        """The tenant of all jobs that it may know; None: it may know all jobs."""
        return None if self.key is None or Scope.OPERATE in self.key.scopes else self.key.name

    def sees(self, record: JobRecord) -> bool:
        """Whether the caller may know that the job exists."""
        return self.tenant is None or record.job.tenant == self.tenant

    def may_use(self, endpoint: str) -> bool:
        return self.key is None or self.key.endpoints is None or endpoint in self.key.endpoints

    def batch(self, name: str) -> str:
        """Returns the name in Redis of the caller's batch."""
        return name if self.tenant is None else f"{self.tenant}.{name}"

    def shown_batch(self, stored: str) -> str | None:
        """Returns the caller's name of a batch in Redis; None if it is another's."""
        if self.tenant is None:
            return stored
        return stored.removeprefix(f"{self.tenant}.") if stored.startswith(f"{self.tenant}.") else None

    def shown_key(self, stored: str | None) -> str | None:
        """Returns the idempotency key as the caller sent it."""
        return stored.removeprefix(f"{self.name}/") if stored is not None and self.key else stored

    def own(self, job: PromptJob, settings: Settings) -> PromptJob:
        """Returns the job as the caller may enqueue it. Raises Problem, and SettingsError for an unknown endpoint."""
        if job.paths:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"the job names a local file ({job.paths[0]:.100}), which nobody can read over HTTP",
                "upload it, or send a URL or a data URL",
            )
        if self.key is None:
            return job
        endpoint = settings.endpoint_name(job.endpoint)
        if not self.may_use(endpoint):
            allowed = ", ".join(self.key.endpoints or ())
            raise forbidden(f"the API key {self.name} may not use the endpoint {endpoint}", f"use one of: {allowed}")
        if self.tenant is not None and job.tenant not in (None, self.tenant):
            raise forbidden(f"`tenant` is {job.tenant}, but jobs of this API key belong to {self.name}", "leave it out")
        receiver = self.own_callback(job.callback) if job.callback else None
        return job.model_copy(
            update={
                "tenant": job.tenant or self.name,
                "key": f"{self.name}/{job.key}" if job.key else None,
                "batch": self.batch(job.batch) if job.batch else None,
                "callback_secret_env": receiver and receiver.secret_env,
            }
        )

    def own_callback(self, callback: Callback) -> Callback:
        """Returns a receiver with the secret of the caller's key. Raises Problem if it names another secret."""
        if self.key is None:
            return callback
        own = self.key.callback_secret_env
        if self.tenant is not None and callback.secret_env not in (None, own):
            raise forbidden("the variable with the secret of callbacks is not that of this API key", "leave it out")
        return callback.model_copy(update={"secret_env": callback.secret_env or own})


def forbidden(detail: str, remedy: str | None = None) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, detail, remedy)


async def caller(
    connection: HTTPConnection,
    gateway: Served,
    response: Response,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """Returns who sent a request. Raises Problem: 401, 413 or 429."""
    if not (gateway.options.needs_key or await gateway.keys.are_there_any()):
        return Caller()
    key = await gateway.keys.find(credentials.credentials if credentials else None)
    check_body_bytes(connection.scope, key.max_body_bytes)
    if key.requests_per_minute is not None:
        admission = await gateway.client.admit(key)
        policy = {"RateLimit-Policy": f'"requests";q={key.requests_per_minute};w=60'}
        if admission.wait_s > 0:
            wait_s = math.ceil(admission.wait_s)
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the API key {key.name} has made its {key.requests_per_minute} requests a minute",
                f"try again in {wait_s} s",
                headers={**policy, "Retry-After": str(wait_s)},
            )
        response.headers.update(
            {**policy, "RateLimit": f'"requests";r={admission.left};t={math.ceil(admission.full_s)}'}
        )
    return Caller(key)


def _with(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """Returns a dependency: the caller, if it has this scope. Raises Problem (403)."""

    async def checked(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.has(scope):
            raise forbidden(f"the API key {who.name} lacks the scope `{scope}`", "use a key that has it")
        return who

    return checked


#: The parameter of a route that reads, enqueues, or operates.
Reader = Annotated[Caller, Depends(_with(Scope.READ))]
Enqueuer = Annotated[Caller, Depends(_with(Scope.ENQUEUE))]
Operator = Annotated[Caller, Depends(_with(Scope.OPERATE))]


async def enqueued(gateway: Gateway, caller: Caller, job: PromptJob) -> tuple[JobRecord, bool]:
    """Enqueues a job of the caller. Returns its record, and whether it is new.

    Raises Problem (403, 422, 429), InvalidJob, SettingsError, KeyConflict. Requests at the same moment may exceed
    `max_open_jobs` by a few jobs.
    """
    job = caller.own(job, gateway.settings)
    await _check_thread(gateway, caller, job)
    await _check_open_jobs(gateway, caller)
    handle = await gateway.client.enqueue(job)
    return await gateway.client.get(handle.id), handle.is_new


async def _check_open_jobs(gateway: Gateway, caller: Caller) -> None:
    most = caller.key.max_open_jobs if caller.key else None
    if caller.name is not None and most is not None and await gateway.client.open_jobs(caller.name) >= most:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"the API key {caller.name} has {most} open jobs, and may not have more",
            "wait until one has ended",
            headers={"Retry-After": str(_TRY_AGAIN_S)},
        )


async def _check_thread(gateway: Gateway, caller: Caller, job: PromptJob) -> None:
    """Raises Problem if the job continues a thread that is not known to be the caller's."""
    if job.thread is None or caller.tenant is None:
        return
    kept = next((each for each in await gateway.client.threads() if each.id == job.thread), None)
    if kept is not None:
        try:
            await record_of(gateway, caller, kept.job_id)
        except JobNotFound:
            kept = None
    if kept is None:
        raise forbidden(f"the thread {job.thread:.100} is not one that a job of {caller.name} has kept")


async def record_of(gateway: Gateway, caller: Caller, job_id: str) -> JobRecord:
    """Returns the record of a job. Raises JobNotFound also for a job that the caller may not see."""
    record = await gateway.client.get(job_id)
    if not caller.sees(record):
        raise JobNotFound(job_id)
    return record
