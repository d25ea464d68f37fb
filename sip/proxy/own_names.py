"""Who a proxy is: the addresses it listens on and puts into Via and Record-Route, and the domains it serves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hashlib import blake2b

from ..discovery.target import default_port, transport_name, transport_parameter
from ..message.host_names import bare_host, host_reference
from ..message.uri import SipUri


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a proxy is reached by one transport: the host (name or address) that others are told, and the port.

    Raises ValueError for a transport that there is not.
    """

    transport: str
    host: str
    port: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "transport", transport_name(self.transport))

    @property
    def sent_by(self) -> str:
        """host:port as Via and URIs have it."""
        host = host_reference(self.host) if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProxyIdentity:
    """The addresses and domains of one proxy, or of several that stand for each other.

    `addresses` has one address for each transport. `aliases` are further host names and addresses that mean this
    proxy. `secret` seals loop hashes and flow tokens; proxies that stand for each other share it.
    """

    addresses: tuple[ListenAddress, ...]
    domains: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _places: frozenset[tuple[str, int]] = field(init=False, repr=False)
    _hosts: frozenset[str] = field(init=False, repr=False)
    _own_routes: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", frozenset(map(bare_host, self.domains)))
        object.__setattr__(self, "aliases", frozenset(map(bare_host, self.aliases)))
        hosts = {bare_host(one.host) for one in self.addresses} | self.aliases
        object.__setattr__(self, "_hosts", frozenset(hosts))
        places = {(host, one.port) for host in hosts | self.domains for one in self.addresses}
        object.__setattr__(self, "_places", frozenset(places))
        values = frozenset(route_value(one, secure=secure) for one in self.addresses for secure in (False, True))
        object.__setattr__(self, "_own_routes", values)

    def address(self, transport: str) -> ListenAddress:
        """Returns the address for a transport, or any where there is none for it."""
        return next((one for one in self.addresses if one.transport == transport), self.addresses[0])

    def is_ours(self, uri: SipUri) -> bool:
        """Whether a URI, as Route and Request-URI have it, leads to this proxy."""
        host = bare_host(uri.host)
        if uri.port is None:
            # Without a port a name leads to us by DNS, an address by the default port.
            transport = uri.transport or "udp"
            if uri.secure:
                transport = "wss" if transport in ("ws", "wss") else "tls"
            port = default_port(transport)
            return host in self.domains or host in self.aliases or (host, port) in self._places
        return (host, uri.port) in self._places

    def serves(self, uri: SipUri) -> bool:
        """Whether the domain of a Request-URI is one that we are responsible for (16.5)."""
        host = bare_host(uri.host)
        if host in self.domains:
            return uri.port is None or (host, uri.port) in self._places
        return self.is_ours(uri)

    def sent_by_ours(self, sent_by: tuple[str, int | None], transport: str) -> bool:
        """Whether a Via's sent-by is one that this proxy writes."""
        host, port = bare_host(sent_by[0]), sent_by[1] or default_port(transport.lower())
        return host in self._hosts and (host, port) in self._places

    def own_route_user(self, value: str) -> str | None:
        """Returns the user part, "" without one, of a Route value that is, letter by letter, one that we record.

        None where it is not; it may be ours in other words.
        """
        if value in self._own_routes:
            return ""
        scheme, colon, rest = value.partition(":")
        user, _, place = rest.partition("@")
        return user if f"{scheme}{colon}{place}" in self._own_routes and ":" not in user else None

    def seal(self, text: str, size: int = 8) -> str:
        """Returns a keyed hash of `text` in hexadecimal, which nobody else can make."""
        data = text.encode("utf-8", "surrogateescape")
        return blake2b(data, digest_size=size, key=self.secret[:64]).hexdigest()


def route_value(address: ListenAddress, *, secure: bool, token: str | None = None) -> str:
    """Returns the Record-Route value of an address; `token` is that of a flow."""
    user = "" if token is None else f"{token}@"
    transport = "" if address.transport == "udp" else f";transport={transport_parameter(address.transport)}"
    if secure:
        return f"<sips:{user}{address.sent_by}{transport if 'ws' in transport else ''};lr>"
    return f"<sip:{user}{address.sent_by}{transport};lr>"
