"""The routes of the API, one module per resource; handlers stay thin."""

from threadmill_emulator.http.routes import (
    assistants,
    batches,
    chat,
    containers,
    conversations,
    files,
    messages,
    models,
    plugin,
    responses,
    runs,
    threads,
    vector_stores,
)

#: The routes of runs come first, because matching is linear.
API = [
    *chat.ROUTES,
    *runs.ROUTES,
    *responses.ROUTES,
    *messages.ROUTES,
    *threads.ROUTES,
    *plugin.ROUTES,
    *files.ROUTES,
    *assistants.ROUTES,
    *vector_stores.ROUTES,
    *conversations.ROUTES,
    *containers.ROUTES,
    *batches.ROUTES,
    *models.ROUTES,
]
NAMES = frozenset(route.name for route in API)
