"""Runs the gateway until SIGTERM or Ctrl-C."""

import logging
import signal
import socket
from contextlib import closing
from dataclasses import replace
from types import FrameType

import uvicorn
from fastapi import FastAPI

from threadmill import log
from threadmill.client import Client
from threadmill.errors import SettingsError, StoreUnavailable
from threadmill.settings.settings import Settings
from threadmill.tracing import sdk
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions, is_loopback

#: How long a shutdown waits for requests in progress. Streams of events end with it; their readers continue elsewhere.
GRACE_S = 5

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Ends streams of events, and replies that are held back, as soon as it is to stop. Then the exit code is 0."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops. uvicorn's own would raise the signal again after that, as if it had killed the process."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.gateway.stopping.set()
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    options: GatewayOptions,
    *,
    host: str,
    port: int,
    forwarded_allow_ips: str = "",
    log_level: str = "info",
) -> None:
    """Serves on `host` and `port`. `forwarded_allow_ips`: proxies whose X-Forwarded-* headers count, with commas.

    Raises SettingsError if other machines can reach `host` and there are no API keys.
    """
    log.configure(log_level)
    tracing = sdk.start("threadmill-gateway")
    app = create_app(settings, guarded(settings, options, host))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=log_level == "debug",
        server_header=False,
        proxy_headers=bool(forwarded_allow_ips),
        forwarded_allow_ips=forwarded_allow_ips or None,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    try:
        Server(config, app).run()
    finally:
        tracing.stop()


def guarded(settings: Settings, options: GatewayOptions, host: str) -> GatewayOptions:
    """Returns the options for an address: without API keys, only this machine may call. Raises SettingsError."""
    is_own = is_loopback(host)
    try:
        with closing(Client(settings).store) as store:
            has_keys = bool(store.api_keys())
    except StoreUnavailable as error:
        _log.warning("the gateway starts, but %s", error)
    else:
        if not has_keys and not is_own:
            raise SettingsError(
                f"other machines can reach {host}, and there are no API keys: create one for each caller "
                "(threadmill keys create NAME), or leave --host out"
            )
        if not has_keys:
            _log.warning(
                "there are no API keys: everybody on this machine may do everything, also through a proxy on it"
            )
    return replace(options, open_without_keys=is_own)
