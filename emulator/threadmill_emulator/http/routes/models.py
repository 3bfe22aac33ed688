"""The list of models, which clients use to check a connection: that of the assistants, and one for each scenario."""

from threadmill_emulator.errors.chat_api import no_model
from threadmill_emulator.http.endpoint import Call, Reply, route
from threadmill_emulator.objects.completions import model_object
from threadmill_emulator.runs.settings import MODEL
from threadmill_emulator.scripting.scenarios import QUIRKS, SCENARIOS

IDS = (MODEL, *(f"emulator-{name}" for name in SCENARIOS if name not in QUIRKS))


async def list_(call: Call) -> Reply:
    return {"object": "list", "data": [model_object(id, call.state.began) for id in IDS]}


async def retrieve(call: Call) -> Reply:
    if (id := call.id("model")) not in IDS:
        raise no_model(id)
    return model_object(id, call.state.began)


ROUTES = [
    route("GET", "/models", "models.list", list_, beta=False),
    route("GET", "/models/{model:path}", "models.retrieve", retrieve, beta=False),
]
