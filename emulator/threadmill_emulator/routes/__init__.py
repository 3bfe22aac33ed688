"""The routes of the API, one module per resource; handlers stay thin."""

from threadmill_emulator.routes import assistants, files, messages, plugin, runs, threads, vector_stores

#: The routes of a polling client come first: matching is linear.
API = [
    *runs.ROUTES,
    *messages.ROUTES,
    *threads.ROUTES,
    *plugin.ROUTES,
    *files.ROUTES,
    *assistants.ROUTES,
    *vector_stores.ROUTES,
]
NAMES = frozenset(route.name for route in API)
