"""Hosts in the one form that they are compared in (RFC 3261 19.1.4): names by ASCII rules, addresses by their bits."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def ascii_lower(text: str) -> str:
    """Returns `text` with A to Z in lower case, and nothing else changed.

    Names are compared so (RFC 4343 3): Unicode makes a k of the KELVIN SIGN, and who owns the one name must not have
    the other's certificate.
    """
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


@lru_cache(2048)
def bare_host(host: str) -> str:
    """Returns a host in the form that every comparison takes: two that are the same have the same.

    Lower case, no brackets and no dots at the end; an IPv6 address in the form of RFC 5952 (RFC 5118 4.10's third colon
    taken for two), and one that stands for an IPv4 address as that.
    """
    host = ascii_lower(host.strip("[]")).rstrip(".")
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.replace(":::", "::"))
    except ValueError:
        return host
    return str(address.ipv4_mapped or address)


def same_host(one: str, other: str) -> bool:
    """Whether two hosts are the same name or address."""
    return one == other or bare_host(one) == bare_host(other)


def host_reference(host: str) -> str:
    """Returns a host in comparable form as URIs have it: an IPv6 address in brackets."""
    host = bare_host(host)
    return f"[{host}]" if ":" in host else host


@lru_cache(4096)
def is_numeric(host: str) -> bool:
    """Whether a host is an IPv4 or IPv6 address, in brackets or not."""
    # The cheap half of the question answers most.
    if not host[:1].isdigit() and ":" not in host:
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
