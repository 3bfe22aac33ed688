"""Runs the gateway until SIGTERM or Ctrl-C."""

import uvicorn

from threadmill import log
from threadmill.settings.settings import Settings
from threadmill_gateway.app import create_app
from threadmill_gateway.options import GatewayOptions

#: How long a shutdown waits for requests in progress. Streams of events end with it; their readers continue elsewhere.
GRACE_S = 5


def serve(
    settings: Settings,
    options: GatewayOptions,
    *,
    host: str,
    port: int,
    forwarded_allow_ips: str = "",
    log_level: str = "info",
) -> None:
    """Serves on `host` and `port`. `forwarded_allow_ips`: proxies whose X-Forwarded-* headers count, with commas."""
    log.configure(log_level)
    uvicorn.run(
        create_app(settings, options),
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
