"""How a proxy finds the servers of other domains: by DNS as RFC 3263 says."""

from __future__ import annotations

from collections.abc import Sequence

from ..discovery.locator import Locator
from ..discovery.target import Target, transport_name
from ..message.uri import SipUri

_TRANSPORTS = ("tls", "tcp", "udp", "wss", "ws")


class DnsProxyResolver:
    """The resolver of a ProxyServer over a Locator; `transports` are those that the proxy can send by.

    Raises ValueError for a transport that there is not.
    """

    def __init__(self, locator: Locator, *, transports: tuple[str, ...] = _TRANSPORTS) -> None:
        self.locator = locator
        self._transports = tuple(transport_name(one) for one in transports)

    async def resolve(self, uri: SipUri) -> Sequence[Target]:
        """Returns the servers of a URI in order of trial; raises DiscoveryError or TransportError when there is none.

        See Locator.locate().
        """
        return await self.locator.locate(uri, transports=self._transports)
