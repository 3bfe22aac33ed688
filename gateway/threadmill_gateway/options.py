"""How a gateway serves, as far as the command line says."""

from dataclasses import dataclass
from ipaddress import ip_address

#: Bytes of a request's body, unless --max-body-bytes says otherwise.
MAX_BODY_BYTES = 10_000_000


@dataclass(frozen=True)
class GatewayOptions:
    max_body_bytes: int = MAX_BODY_BYTES
    root_path: str = ""  #: the path under which a proxy publishes the gateway
    heartbeat_s: float = 15.0  #: a stream of events has a comment after so much silence
    has_api: bool = True  #: whether programs can use it; the pages of the dashboard are served in any case
    has_dashboard: bool = True
    read_only: bool = False  #: whether the pages of the dashboard can change nothing
    open_without_keys: bool = True  #: while Redis has no API keys, everybody may do everything


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or a name."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
