"""From where a request comes, and whom an address stands for. Pure.

Behind a reverse proxy every request comes from the proxy, which names the caller in
`X-Forwarded-For`. Anybody can write that header, so it counts only from proxies that are listed,
and of its addresses the last that is no such proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOPS = 16
IPV6_BITS = 64
"""A household's or a server's share of IPv6: one who has it has all of it."""


def parse_networks(value: str) -> tuple[Network, ...]:
    """Addresses and networks (`10.0.0.0/8`) from a setting, separated by commas.

    Raises:
        ValueError: one is neither.
    """
    parts = [part for part in (each.strip() for each in value.split(",")) if part]
    try:
        return tuple(ipaddress.ip_network(part, strict=False) for part in parts)
    except ValueError:
        raise ValueError(
            "holds what is no IP address or network; write 127.0.0.1 or 10.0.0.0/8"
        ) from None


def caller_of(peer: str | None, forwarded: Iterable[str], proxies: Sequence[Network]) -> str:
    """The caller's address. `forwarded` are the values of `X-Forwarded-For`, in their order."""
    here = peer or ""
    hops = [hop.strip() for value in forwarded for hop in value.split(",")][-MAX_HOPS:]
    while hops and is_within(here, proxies):
        hop = _plain(hops.pop())
        if hop is None:
            break  # no address: whoever wrote it, the one that passed it on is answerable
        here = hop
    return here


def holder_of(address: str) -> str:
    """Whom limits are counted for: the address, or the network of an IPv6 one; "" for this machine,
    of which nothing is counted."""
    ip = _address(address)
    if ip is None or ip.is_loopback:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return holder_of(str(ip.ipv4_mapped))
        return str(ipaddress.ip_network((ip, IPV6_BITS), strict=False))
    return str(ip)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """True if an address belongs to one of these networks."""
    ip = _address(address)
    return ip is not None and any(ip in network for network in networks)


def _plain(hop: str) -> str | None:
    """An address as some proxies write it, with brackets and a port, without them."""
    bare = hop.removeprefix("[").partition("]")[0] if hop.startswith("[") else hop
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    ip = _address(bare)
    return None if ip is None else str(ip)


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        return None
