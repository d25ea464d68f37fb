"""Where a message goes: transport, address and the name to prove, from a URI or a Via (RFC 3261 18, RFC 3263 4.1)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from ..errors import SipParseError, TransportError
from ..message.header_values import Via
from ..message.host_names import bare_host, same_host
from ..message.message import Request
from ..message.uri import SipUri

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
SECURE_TRANSPORTS = frozenset(("tls", "wss"))
# Of a UDP request, before it must move to a transport with congestion control (18.1.1).
MAX_UDP_REQUEST = 1300
_DEFAULT_PORTS = {"tls": 5061, "ws": 80, "wss": 443}


def transport_name(name: str) -> str:
    """Returns a transport's name as all of this package compares it: udp, tcp, tls, ws or wss, in lower case.

    Raises ValueError for any other, so that a slip of the pen never becomes a connection in the clear.
    """
    if name in TRANSPORTS:
        return name
    known = name.strip().lower() if isinstance(name, str) else ""
    if known not in TRANSPORTS:
        raise ValueError(f"{str(name)[:40]!r} is no transport; there are {', '.join(TRANSPORTS)}")
    return known


@dataclass(frozen=True, slots=True)
class Target:
    """A transport (udp, tcp, tls, ws or wss), a host (name or address) and a port; `name` is what TLS must prove.

    Raises ValueError for another transport.
    """

    transport: str
    host: str
    port: int
    name: str

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            object.__setattr__(self, "transport", transport_name(self.transport))

    @property
    def secure(self) -> bool:
        """Whether it is reached by TLS, under WebSocket or not."""
        return self.transport in SECURE_TRANSPORTS

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


def default_port(transport: str) -> int:
    """Returns the port of a transport where a URI or Via names none (RFC 3261 19.1.2, RFC 7118 5.5)."""
    return _DEFAULT_PORTS.get(transport, 5060)


def transport_parameter(transport: str) -> str:
    """Returns the transport parameter of a URI for a transport: WebSocket has one for both (RFC 7118 5.2)."""
    return "ws" if transport == "wss" else transport


def is_invalid(host: str) -> bool:
    """Whether a host stands for none (RFC 2606), as WebSocket clients put it into Via and Contact (RFC 7118)."""
    host = bare_host(host)
    return host == "invalid" or host.endswith(".invalid")


def target_of(uri: SipUri) -> Target:
    """Returns where a request with this next-hop URI goes: its transport and port, or the scheme's.

    A sips URI goes by TLS whatever its transport parameter says, and never by anything else (RFC 5630); with
    `transport=ws` that is WebSocket over TLS. So is `transport=wss`, which no RFC has and many write. Raises
    TransportError for a transport that is not supported, and for a host that is `.invalid`.
    """
    transport = uri.transport or "udp"
    if uri.secure:
        if transport == "udp" and uri.transport is not None:
            raise TransportError("a sips URI cannot go over UDP", target=str(uri))
        transport = "wss" if transport in ("ws", "wss") else "tls"
    if transport not in TRANSPORTS:
        raise TransportError(f"the transport {transport} is not supported", target=str(uri))
    host = bare_host(uri.parameter("maddr") or uri.host)
    if is_invalid(host):
        raise TransportError("this host is none, and only reached by a connection of its own", target=host)
    return Target(transport, host, uri.port or default_port(transport), bare_host(uri.host))


def secured(uri: SipUri) -> SipUri:
    """Returns a URI as a sips one, for the next hop of a request that must not leave TLS.

    Nothing but the scheme changes (RFC 5630 5.1.1), and `transport=tls` goes, which sips URIs must not have (3.1.4).
    With `transport=udp`, which is none for sips (RFC 3261 26.2.2), it leads nowhere: target_of() refuses it. TLS to
    a port that was given for UDP would be a guess.
    """
    if uri.secure:
        return uri
    kept = tuple(pair for pair in uri.parameters if pair[0] != "transport" or (pair[1] or "").lower() != "tls")
    return replace(uri, scheme="sips", parameters=kept)


def next_hop(request: Request) -> SipUri:
    """Returns the URI that decides where a request goes: its first Route, or its Request-URI (8.1.2).

    For a sips Request-URI it is a sips URI, whatever the Route says. Raises SipParseError (416) when it is no SIP URI.
    """
    routes = request.routes
    secure = isinstance(request.uri, SipUri) and request.uri.secure
    if routes:
        hop = routes[0].sip_uri
        return secured(hop) if secure else hop
    if not isinstance(request.uri, SipUri):
        raise SipParseError(f"the scheme {request.uri.scheme[:20]} is not supported", status=416)
    return request.uri


def add_received(via: Via, source_host: str, source_port: int) -> Via:
    """Returns the top Via of a request received, with received and rport as 18.2.1 and RFC 3581 4 say.

    A received that the sender wrote himself is replaced: responses go where the request came from.
    """
    if via.parameter("rport") is not None:
        via = via.with_parameter("rport", str(source_port))
        return via.with_parameter("received", source_host)
    if not same_host(via.host, source_host) or via.parameter("received") is not None:
        via = via.with_parameter("received", source_host)
    return via


def response_address(via: Via) -> tuple[str, int]:
    """Returns where a response goes over UDP, or over a new connection (18.2.2, RFC 3581 4).

    `via` is what add_received() returned. Its maddr counts only when it is a multicast group or names the source
    itself: 18.2.2 would send to whomever it names, and make us the reflector of an attack on him.
    """
    host = via.parameter("received") or via.host
    maddr = via.parameter("maddr")
    if maddr and _is_multicast(maddr):
        host = maddr
    rport = via.parameter("rport") or ""
    if rport.isascii() and rport.isdigit() and len(rport) <= 5 and 0 < int(rport) <= 65535:
        return _bare(host), int(rport)
    return _bare(host), via.port or default_port(via.transport.lower())


def _is_multicast(host: str) -> bool:
    try:
        return ipaddress.ip_address(bare_host(host)).is_multicast
    except ValueError:
        return False


def _bare(host: str) -> str:
    """An IPv6 reference as an address, without the third colon that RFC 3261 lets in (RFC 5118 4.10)."""
    return host.strip("[]").replace(":::", "::")
