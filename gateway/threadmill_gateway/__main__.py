"""`python -m threadmill_gateway`: the gateway, until SIGTERM or Ctrl-C."""

import argparse
import sys

from threadmill.errors import ThreadmillError
from threadmill.secrets import redaction
from threadmill.settings.settings import Settings
from threadmill_gateway.options import MAX_BODY_BYTES, GatewayOptions
from threadmill_gateway.serve import serve


def main() -> int:
    redaction.guard()
    parser = argparse.ArgumentParser(prog="threadmill gateway", description="Serve jobs over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    parser.add_argument("--max-body-bytes", type=int, default=MAX_BODY_BYTES, help="longest body of a request")
    parser.add_argument("--root-path", default="", help="path under which a proxy publishes the gateway")
    parser.add_argument("--forwarded-allow-ips", default="", help="proxies whose X-Forwarded headers count")
    parser.add_argument("--no-api", action="store_true", help="serve the pages of the dashboard alone")
    parser.add_argument("--no-dashboard", action="store_true", help="serve the API alone")
    parser.add_argument("--read-only", action="store_true", help="let the pages change nothing")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args()
    try:
        serve(
            Settings.load(),
            GatewayOptions(
                max_body_bytes=options.max_body_bytes,
                root_path=f"/{options.root_path.strip('/')}".rstrip("/"),
                has_api=not options.no_api,
                has_dashboard=not options.no_dashboard,
                read_only=options.read_only,
            ),
            host=options.host,
            port=options.port,
            forwarded_allow_ips=options.forwarded_allow_ips,
            log_level=options.log_level,
        )
    except ThreadmillError as error:
        sys.stderr.write(f"threadmill: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
