"""Which IP addresses a callback may be sent to. Pure.

A callback's URL comes from whoever enqueued the job, so it must not reach what only this machine or its network can.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network

#: IPv6 prefixes that hold an IPv4 address, and the position of its lowest bit: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC
#: 3056), IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765).
_EMBEDDING = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
)

#: Never called, whatever ipaddress says of them: local NAT64, Teredo, site-local, the discard prefix, ISATAP's kin.
_SPECIAL = tuple(map(IPv6Network, ("64:ff9b:1::/48", "2001::/32", "fec0::/10", "100::/64", "5f00::/16")))


def is_public(address: str) -> bool:
    """Whether anybody on the Internet can reach the address. An IPv6 address that holds an IPv4 one counts as both.

    Raises ValueError for something other than an IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return _is_global(ip)
    if "%" in address or any(ip in network for network in _SPECIAL):
        return False
    inner = _embedded(ip)
    return _is_global(inner) if inner is not None else _is_global(ip)


def _is_global(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address in an IPv6 address."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    for network, shift in _EMBEDDING:
        if ip in network:
            return IPv4Address(int(ip) >> shift & 0xFFFFFFFF)
    return None


def is_allowed(address: str, host: str, allowed: Iterable[str]) -> bool:
    """Whether a callback to `host` may connect to the address.

    `allowed`: names of hosts, and addresses or networks (CIDR), that may be called although they are not public.
    """
    if is_public(address):
        return True
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(_matches(each, ip, host) for each in allowed)


def _matches(allowed: str, ip: IPv4Address | IPv6Address, host: str) -> bool:
    try:
        return ip in ipaddress.ip_network(allowed, strict=False)
    except ValueError:
        return allowed.lower().rstrip(".") == host.lower().rstrip(".")
