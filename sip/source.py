"""Who counts as one source of what comes in, wherever that is counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

# Of IPv6 one subscriber has a whole network of that length at least, and an address of it for each connection.
IPV6_PREFIX = 64


def source_of(address: str) -> str:
    """Returns what an address counts as: itself, an IPv6 address its /64, one that carries an IPv4 address that."""
    return _source_of_ipv6(address) if ":" in address else address


@lru_cache(maxsize=4096)
def _source_of_ipv6(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> IPV6_PREFIX << IPV6_PREFIX, IPV6_PREFIX)))
