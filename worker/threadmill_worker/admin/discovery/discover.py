"""Finds out what a server speaks and offers: free requests first, then prompts of a few tokens."""

from collections.abc import Callable

from threadmill.settings.endpoints.endpoint import Endpoint, EndpointKind, Wire
from threadmill_worker.admin.discovery.addresses import base_urls, unreached, useless
from threadmill_worker.admin.discovery.asking import Asker
from threadmill_worker.admin.discovery.chat_prompts import ask_chat
from threadmill_worker.admin.discovery.findings import Discovery, Finding, usual_model
from threadmill_worker.admin.discovery.free_requests import find_apis, find_lists, find_models
from threadmill_worker.admin.discovery.responses_prompts import ask_background, ask_responses
from threadmill_worker.drivers.http.client import connect
from threadmill_worker.drivers.http.exchange import Unreached

Found = Callable[[Finding], None]

#: Hosts with the Responses API.
_WITH_RESPONSES = ("://api.openai.com/", ".azure.com/")

#: How many models a note names.
_SHOWN_MODELS = 12


async def discover_url(
    url: str, variable: str | None, *, model: str | None, prompts: bool, limit_s: float, found: Found
) -> Discovery:
    """Returns what the server at a URL offers; `found` is called with each finding. Raises ServerUnusable.

    `variable`: holds the key. `limit_s`: how long one reply may take. `prompts`: also send prompts.
    """
    tried = []
    for base_url in base_urls(url):
        endpoint = Endpoint(kind=EndpointKind.CHAT, base_url=base_url, api_key_env=variable)
        client = connect(endpoint)
        asker = Asker(client.http, limit_s, found)
        try:
            apis, replies = await find_apis(asker)
            tried.append((base_url, replies))
            if any(each.has for each in apis):
                notes = (f"the base URL is {base_url}, not {url}",) if base_url != url.rstrip("/") else ()
                return await _explored(asker, base_url, apis, model, prompts=prompts, notes=notes)
        except Unreached as error:
            raise unreached(base_url, error) from None
        finally:
            await client.close()
    raise useless(tried, variable)


async def discover_endpoint(
    endpoint: Endpoint, variable: str | None, *, prompts: bool, limit_s: float, found: Found
) -> Discovery:
    """Returns what the server of an endpoint offers on the API of its settings, which `probe` has found there.

    `variable`: holds the key; None: the first of the endpoint's. Raises ServerUnusable.
    """
    client = connect(endpoint, variable)
    asker = Asker(client.http, limit_s, found)
    try:
        apis, _ = await find_apis(asker, endpoint.wire)
        return await _explored(asker, endpoint.base_url, apis, endpoint.model, prompts=prompts, wire=endpoint.wire)
    except Unreached as error:
        raise unreached(endpoint.base_url, error) from None
    finally:
        await client.close()


def guess(url: str, model: str | None) -> Discovery:
    """Returns what is likely about the server at a URL, without a call."""
    base_url = base_urls(url)[-1]
    is_known = any(host in base_url for host in _WITH_RESPONSES)
    wire: Wire = "assistants" if base_url.endswith("/assts/v1") else "responses" if is_known else "chat"
    return Discovery(base_url, wire, model=model)


async def _explored(
    asker: Asker,
    base_url: str,
    apis: list[Finding],
    model: str | None,
    *,
    prompts: bool,
    wire: Wire | None = None,
    notes: tuple[str, ...] = (),
) -> Discovery:
    """Asks for all features of one API: `wire`, or the one that suits threadmill best."""
    for each in apis:
        asker.add(each)
    models = await find_models(asker)
    given = model or usual_model(models)
    warnings = _unlisted(model, models)
    try:
        chosen, trouble = await _asked(asker, given if prompts else None, wire)
    except Unreached as error:
        chosen, trouble = wire or best_wire(asker.findings), str(error)
    if trouble:
        warnings = (*warnings, f"no prompt was answered, so features were not tried: {trouble}")
    elif prompts and given is None and chosen != "assistants":
        shown = f": {', '.join(models[:_SHOWN_MODELS])}" if models else ""
        notes = (*notes, f"no prompt was sent, because the server has several models or lists none; name one{shown}")
    return Discovery(base_url, chosen, tuple(asker.findings), models, given, notes, warnings)


async def _asked(asker: Asker, model: str | None, wire: Wire | None) -> tuple[Wire, str | None]:
    """Finds out the features of one API, with prompts if there is a model. Returns the API, and why a prompt failed."""
    trouble = None
    if model and (wire or best_wire(asker.findings)) == "responses":
        trouble = await ask_background(asker, model)
    chosen = wire or best_wire(asker.findings)
    await find_lists(asker, chosen)
    if model and chosen == "responses" and trouble is None:
        works_in_background = any(each.feature == "background" and each.has for each in asker.findings)
        await ask_responses(asker, model, background=works_in_background)
    elif model and chosen == "chat":
        trouble = await ask_chat(asker, model)
    return chosen, trouble


def best_wire(findings: list[Finding]) -> Wire:
    """Returns the API to use: Responses, unless the server imitates it without background and stored responses."""
    has = {each.feature: each.has for each in findings}
    is_imitation = has.get("background") is False and has.get("stored_responses") is False
    if has.get("responses") and not (is_imitation and has.get("chat")):
        return "responses"
    return "assistants" if has.get("assistants") else "chat"


def _unlisted(model: str | None, models: tuple[str, ...]) -> tuple[str, ...]:
    if model is None or not models or model in models or f"models/{model}" in models:
        return ()
    shown = ", ".join(models[:_SHOWN_MODELS])
    return (f"GET /models does not list the model {model!r}; it lists {shown}",)
