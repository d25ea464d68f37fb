"""The SIP triangle on loopback: two proxies of two domains that find each other by DNS, over mutually proven TLS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from sip.discovery import Locator, Resolver
from sip.proxy import DnsProxyResolver, ProxyServer
from sip.registrar import MemoryLocationStore
from sip.transport import Flow

from ..commands.proxy import create_proxy
from ..server.configuration import AuthenticationSettings, ListenSettings, LocationSettings, ProxyConfig, TlsSettings
from ..tls_files import TlsFiles
from .embedded_zone import EmbeddedZone, records_of_domain
from .throwaway_authority import IssuedCertificate, ThrowawayAuthority

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class TriangleUser:
    """A user of one of the domains, and the name of the phone that the certificate is for."""

    name: str
    domain: str
    phone: str
    password: str

    @property
    def aor(self) -> str:
        """The address-of-record."""
        return f"sip:{self.name}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One message as a proxy sent it: `proven` is the name that TLS proved of the receiver, None for nobody."""

    sender: str
    receiver: str
    what: str
    transport: str
    proven: str | None


class Triangle:
    """Proxies for the domains of `users`, each with a registrar that asks for Digest by `algorithm`.

    `name_server` is where the zone of both is asked, ADDRESS:PORT over UDP; None without the `dns` extra.
    `on_hop` hears of every message that a proxy sends. Everything is gone at the end of the `async with`.
    Raises OSError when nothing can be listened on, or `directory` cannot be written.
    """

    def __init__(
        self, users: tuple[TriangleUser, ...], directory: Path, *, algorithm: str, on_hop: Callable[[Hop], None]
    ) -> None:
        self.users = users
        self._directory = directory
        self._algorithm = algorithm
        self._on_hop = on_hop
        self._authority = ThrowawayAuthority(directory)
        self.zone = EmbeddedZone({})
        self.name_server: str | None = None
        self.servers: dict[str, ProxyServer] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Triangle:
        try:
            resolver = await self._resolver()
            for domain in dict.fromkeys(user.domain for user in self.users):
                await self._stack.enter_async_context(self._proxy(domain, resolver))
        except BaseException:
            await self._stack.aclose()
            raise
        records = {}
        for domain in self.servers:
            records.update(records_of_domain(domain, HOST, self.port(domain)))
        self.zone.replace(records)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _resolver(self) -> Resolver:
        """Asks the zone over the wire where dnspython is installed, else in memory."""
        try:
            from sip.discovery import DnsResolver

            from .zone_server import serve_zone
        except ImportError:
            return self.zone
        self.name_server = await self._stack.enter_async_context(serve_zone(self.zone, HOST))
        return DnsResolver([self.name_server])

    def port(self, domain: str) -> int:
        """Returns the TLS port of a domain's proxy."""
        return self.servers[domain].listening[0].port

    def outbound_proxy(self, user: TriangleUser) -> str:
        """Returns the URI of a user's proxy; maddr leads to loopback, the certificate still has to prove the domain."""
        return f"sip:{user.domain}:{self.port(user.domain)};transport=tls;maddr={HOST};lr"

    def files_of(self, user: TriangleUser) -> TlsFiles:
        """Returns the certificate of a user's phone."""
        issued = self._authority.issue(user.name, sip_domains=(user.phone,))
        return TlsFiles(issued.certificate_path, issued.key_path, self._authority.certificate_path)

    @contextlib.asynccontextmanager
    async def _proxy(self, domain: str, resolver: Resolver) -> AsyncIterator[None]:
        issued = self._authority.issue(domain, sip_domains=(domain,))
        server, service = await create_proxy(
            self._config(domain, issued),
            MemoryLocationStore(),
            resolver=DnsProxyResolver(Locator(resolver, address_types=("A",)), transports=("tls",)),
            observer=lambda data, flow: self._on_hop(self._hop(domain, data, flow)),
        )
        async with server:
            service.identity = server.proxy.identity
            self.servers[domain] = server
            yield

    def _config(self, domain: str, issued: IssuedCertificate) -> ProxyConfig:
        lines = self._directory / f"{domain}.users"
        lines.touch(mode=0o600)
        lines.write_text("".join(f"{one.name}:{one.password}\n" for one in self.users if one.domain == domain))
        return ProxyConfig(
            listen=(ListenSettings("tls", HOST, 0, domain),),
            domains=frozenset((domain,)),
            tls=TlsSettings(
                issued.certificate_path,
                issued.key_path,
                self._authority.certificate_path,
                require_client_certificate=True,
                prove_domains=True,
            ),
            location=LocationSettings("memory"),
            authentication=AuthenticationSettings(domain, users=lines, algorithms=(self._algorithm,)),
        )

    def _hop(self, sender: str, data: bytes, flow: Flow) -> Hop:
        names = [*self.servers, *(user.phone for user in self.users)]
        proven = next((name for name in names if flow.proves(name)), None)
        line = data.split(b"\r\n", 1)[0].decode()
        what = line.removeprefix("SIP/2.0 ") if line.startswith("SIP/2.0 ") else line.split(" ", 1)[0]
        return Hop(sender, proven or f"{flow.remote[0]}:{flow.remote[1]}", what, flow.transport.upper(), proven)
