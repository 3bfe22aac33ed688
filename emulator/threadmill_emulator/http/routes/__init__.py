"""The routes of the API, one module per resource; handlers stay thin."""

from threadmill_emulator.http.routes import (
    assistants,
    batches,
    containers,
    conversations,
    files,
    messages,
    plugin,
    responses,
    runs,
    threads,
    vector_stores,
)

#: The routes that clients poll come first, because matching is linear.
API = [
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
]
NAMES = frozenset(route.name for route in API)
