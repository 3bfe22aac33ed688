"""`/hooks/openai/{endpoint}`: webhooks of OpenAI, which say that a response or a batch has ended.

Their signature takes the place of an API key. What they say decides nothing: it has a worker ask the server.
"""

import logging
import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, StringConstraints, ValidationError

from threadmill.errors import SettingsError
from threadmill.secrets.signature import BadSecret, BadSignature, key_of, verify
from threadmill.settings import credentials
from threadmill.settings.settings import Settings
from threadmill_gateway.requests.problems import RETRY_AFTER_S, Problem, documented
from threadmill_gateway.requests.state import Served

log = logging.getLogger(__name__)

#: The events that say that a response or a batch has ended.
_RESPONSE_ENDED = frozenset(f"response.{status}" for status in ("completed", "failed", "cancelled", "incomplete"))
_BATCH_ENDED = frozenset(f"batch.{status}" for status in ("completed", "failed", "expired", "cancelled"))

router = APIRouter(prefix="/hooks", tags=["webhooks"])


class _Object(BaseModel):
    id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,512}$")]


class _Event(BaseModel):
    type: str
    data: _Object


@router.post(
    "/openai/{endpoint}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(HTTPStatus.NOT_FOUND),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def receive(endpoint: str, request: Request, gateway: Served) -> None:
    """Receive a webhook of OpenAI for an endpoint with `webhook_secret_env`. Events of other kinds are ignored."""
    key = _key(gateway.settings, endpoint)
    body = await request.body()
    try:
        verify(request.headers, body, key, time.time())
    except BadSignature as error:
        log.warning("a webhook for endpoint %s was refused: %s", endpoint, error)
        raise Problem(
            HTTPStatus.BAD_REQUEST, str(error), "send it with the secret in the endpoint's webhook_secret_env"
        ) from None
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not an event with a type and the id of an object") from None
    if event.type in _RESPONSE_ENDED:
        await gateway.client.wake(endpoint, event.data.id)
    elif event.type in _BATCH_ENDED:
        await gateway.client.wake_batch(endpoint, event.data.id)


def _key(settings: Settings, name: str) -> bytes:
    """Returns the key that signs the webhooks of an endpoint. Raises Problem."""
    endpoint = settings.endpoints.get(name)
    if endpoint is None or endpoint.webhook_secret_env is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no endpoint of this name receives webhooks",
            "set its webhook_secret_env in the settings",
        )
    variable = endpoint.webhook_secret_env
    try:
        return key_of(credentials.required(variable, f"the webhooks of endpoint {name!r}"))
    except (SettingsError, BadSecret) as error:
        reason = f"the value of {variable} is {error}" if isinstance(error, BadSecret) else str(error)
        log.error("a webhook cannot be verified: %s", reason)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the gateway lacks the secret of these webhooks",
            "its log names the variable to set; then send the webhook again",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from None
