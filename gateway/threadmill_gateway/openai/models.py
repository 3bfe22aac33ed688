"""`/v1/models`: the endpoints of the settings, and their profiles, as models."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import JSONResponse

from threadmill_gateway.openai.errors import no_model
from threadmill_gateway.openai.model_names import model_object, names
from threadmill_gateway.openai.replies import documented, page
from threadmill_gateway.requests.callers import Caller, Reader
from threadmill_gateway.requests.state import Gateway, Served

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


@router.get("", responses=documented())
async def list_models(gateway: Served, caller: Reader) -> JSONResponse:
    """List the endpoints, and each with the profiles that it can run."""
    return JSONResponse(page([model_object(name) for name in await _names(gateway, caller)]))


@router.get("/{name:path}", responses=documented(HTTPStatus.NOT_FOUND))
async def get_model(name: str, gateway: Served, caller: Reader) -> JSONResponse:
    """Read one of the listed models. A request may also name others, as ENDPOINT/MODEL."""
    known = await _names(gateway, caller)
    if name not in known:
        raise no_model(name, f"the models are {', '.join(known)}.")
    return JSONResponse(model_object(name))


async def _names(gateway: Gateway, caller: Caller) -> list[str]:
    """Returns the models whose endpoint the caller may use."""
    known = names(gateway.settings, applied=await gateway.client.applied_profiles())
    return [name for name in known if caller.may_use(name.partition("/")[0])]
