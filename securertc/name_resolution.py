"""The resolver of the command line: DNS in full where dnspython is installed, else what the system resolves."""

from __future__ import annotations

from collections.abc import Sequence

from sip import SipUri
from sip.discovery import Locator, Resolver, Target, target_of

from .errors import MissingExtraError

TRANSPORTS = ("tls", "tcp", "udp", "wss", "ws")


def name_resolver(name_servers: Sequence[str] = ()) -> Resolver | None:
    """Returns a resolver over the system's name servers, or over `name_servers`, each ADDRESS or ADDRESS:PORT.

    None where dnspython is not installed or the system has no name server, and none is given. Raises
    MissingExtraError when some are given without it, and ValueError for what is no numeric address.
    """
    try:
        from sip.discovery import DnsResolver
    except ImportError:
        if name_servers:
            raise MissingExtraError("asking a name server", extra="dns") from None
        return None
    if name_servers:
        return DnsResolver(name_servers)
    try:
        return DnsResolver()
    except OSError:
        return None


async def first_target(uri: SipUri, resolver: Resolver | None) -> Target:
    """Returns where a request to `uri` goes first; raises TransportError when it leads nowhere."""
    if resolver is None:
        return target_of(uri)
    return (await Locator(resolver).locate(uri, transports=TRANSPORTS))[0]
