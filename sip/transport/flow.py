"""What carries messages to one peer, whatever the transport (RFC 3261 18)."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from ..errors import TlsVerificationError
from .tls import VerifiedPeer, verify_identity


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address that is listened on."""

    transport: str
    host: str
    port: int


class Flow(abc.ABC):
    """A way to one peer: a connection, or a UDP socket with the peer's address."""

    transport: str
    remote: tuple[str, int]
    peer: VerifiedPeer | None = None
    # The peer's, in DER, with its chain verified; None where it showed none, or none was asked for.
    certificate: bytes | None = None
    # Whether the peer opened it.
    accepted: bool = False

    @property
    def reliable(self) -> bool:
        """Whether what is sent arrives or the flow ends: all but UDP."""
        return self.transport != "udp"

    @property
    def secure(self) -> bool:
        """Whether it is TLS, under WebSocket or not."""
        return self.transport in ("tls", "wss")

    @property
    def websocket(self) -> bool:
        """Whether it is WebSocket: only one side of it can ever open it (RFC 7118)."""
        return self.transport in ("ws", "wss")

    def stands(self) -> bool:
        """Whether the peer's certificate would be taken now, as it was when the connection was made.

        It may have expired since, or our authorities may be others. False without any.
        """
        return self.certificate is not None

    def proves(self, name: str) -> bool:
        """Whether the peer's certificate, as it stands now, is for a SIP domain or IP address (RFC 5922 7.1).

        A wildcard proves nothing.
        """
        if self.certificate is None or not self.stands():
            return False
        try:
            verify_identity(self.certificate, name)
        except TlsVerificationError:
            return False
        return True

    @property
    @abc.abstractmethod
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""

    @property
    @abc.abstractmethod
    def local(self) -> tuple[str, int]:
        """Our address and port."""

    @abc.abstractmethod
    def send(self, data: bytes) -> None:
        """Sends one message; raises TransportError when the flow is closed."""

    def prove(self) -> None:  # noqa: B027  # a datagram proves nothing of the next one
        """Takes note that the peer has proven who it is, which keeps its connection when others have to make room."""

    def distrust(self, since: float) -> None:  # noqa: B027  # a datagram socket stays what it is
        """Closes a connection on which nothing came since a time of the event loop, when something had to come.

        Such a connection is half-open: who uses it on would run into one time-out after the other.
        """


def via_host(address: tuple[str, int | None]) -> str:
    """Returns an address as Via's sent-by has it; the port may be left away."""
    host, port = address
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
