"""threadmill_worker: runs jobs. Start it with `threadmill worker` or `celery -A threadmill_worker worker`."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`app` is the worker's Celery app, made when Celery asks for it: importing the package reads no settings."""
    if name != "app":
        raise AttributeError(f"module 'threadmill_worker' has no attribute {name!r}")
    import sys

    from threadmill.errors import SettingsError
    from threadmill.settings.settings import Settings
    from threadmill_worker.celery_app.tasks import make_worker_app

    try:
        globals()["app"] = make_worker_app(Settings.load())
    except SettingsError as error:  # one line is enough; Celery would add a traceback
        sys.stderr.write(f"threadmill: {error}\n")
        raise SystemExit(2) from None
    return globals()["app"]
