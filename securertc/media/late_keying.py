"""Keys that come after the offer and the answer, by a handshake on the media's own port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from rtp.udp import Address
from sdp import KeyingMethod, KeyingResult, NegotiatedMedia
from srtp import Policy

# Data, where to, and whether by the RTCP socket.
Send = Callable[[bytes, Address, bool], None]


@dataclass(frozen=True, slots=True)
class KeyedMedia:
    """The KEYED result, and where ICE has found the peer, where media then goes; None for what the SDP says.

    `rtcp` protects the RTCP that we send and unprotects the peer's, where that has keys of its own.
    """

    result: KeyingResult
    address: Address | None = None
    rtcp: tuple[Policy, Policy] | None = None


class MediaPath(Protocol):
    """What carries RTP and RTCP together, where that is not a pair of sockets; `ice_agent.py` is one.

    `on_lost` is set by who uses it, and called once, with the reason, when it carries nothing any more.
    """

    on_lost: Callable[[str], None]

    @property
    def local_address(self) -> Address:
        """The address and port for the SDP."""
        ...

    def attach(self, received: Callable[[bytes, Address], None]) -> None:
        """Says who gets the datagrams."""
        ...

    def send(self, data: bytes, address: Address) -> None:
        """Sends a datagram."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class LateKeying(Protocol):
    """What keys a stream while its sockets are open already; `dtls_media.py` is one."""

    def attach(self, send: Send, keyed: Callable[[KeyedMedia], None], failed: Callable[[str], None]) -> None:
        """Says how to send, and whom to tell of keys and of failures."""
        ...

    def start(self, agreed: NegotiatedMedia) -> None:
        """Begins the handshake for an agreement whose keys are pending, or goes on with the one that it means."""
        ...

    def receive(self, data: bytes, source: Address, *, by_rtcp_socket: bool = False) -> bool:
        """Takes a datagram if it is one of the handshake's; returns whether it was."""
        ...

    def close(self) -> None:
        """Ends it, telling the peer."""
        ...


def late_keying_of(methods: Iterable[KeyingMethod]) -> LateKeying | None:
    """Returns what gets the keys of the first method whose keys come late, None when there is none."""
    for method in methods:
        if method.name == "dtls-srtp":
            # Only now: pyOpenSSL is an extra.
            from sdp.dtls import DtlsSrtp

            from .dtls_media import DtlsMedia

            assert isinstance(method, DtlsSrtp)
            return DtlsMedia(method)
    return None
