"""Runs the gateway until SIGTERM or Ctrl-C."""

import ipaddress
import logging
import socket
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from threadmill import log
from threadmill.client import Client
from threadmill.errors import SettingsError, StoreUnavailable
from threadmill.settings.settings import Settings
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions

#: How long a shutdown waits for requests in progress. Streams of events end with it; their readers continue elsewhere.
GRACE_S = 5

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Ends answers that are held back, and streams of events, as soon as it is to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

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

    Raises SettingsError if other machines could reach it, and there are no API keys.
    """
    log.configure(log_level)
    check_keys(settings, host)
    app = create_app(settings, replace(options, needs_key=not _is_loopback(host)))
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
    Server(config, app).run()


def check_keys(settings: Settings, host: str) -> None:
    """Says that there are no API keys. Raises SettingsError if other machines could call the gateway without one."""
    try:
        has_keys = bool(Client(settings).api_keys())
    except StoreUnavailable as error:  # it serves as soon as Redis answers
        _log.warning("the API keys are not known yet: %s", error)
        return
    if has_keys:
        return
    if not _is_loopback(host):
        raise SettingsError(
            f"there are no API keys, so nobody could use a gateway on {host}: make one with "
            "`threadmill keys create NAME`, or serve on 127.0.0.1"
        )
    _log.warning(
        "there are no API keys: every program of this machine may call the gateway. "
        "`threadmill keys create NAME` makes one"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
