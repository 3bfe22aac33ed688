"""The path under which a proxy publishes the gateway, in the form that ASGI has it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Adds the path to requests of a proxy that strips it. Others keep it."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = scope["path"]
            is_whole = asked == self._path or asked.startswith(f"{self._path}/")
            scope = {**scope, "root_path": self._path, "path": asked if is_whole else self._path + asked}
        await self._app(scope, receive, send)
