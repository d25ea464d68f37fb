"""DTLS-SRTP on the media's own ports, and ICE-lite where it is wanted: a `LateKeying`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rtp.demultiplexing import DatagramKind, kind_of
from rtp.udp import Address
from sdp import NegotiatedMedia
from sdp.dtls import DtlsEvent, DtlsSrtp, DtlsSrtpResult, HandshakeCompleted, HandshakeFailed
from sdp.ice import IceLite

from ..errors import SecurityPolicyError
from .dtls_association import DtlsAssociation
from .late_keying import KeyedMedia, Send

if TYPE_CHECKING:
    from .ice_agent import IceAgent

_MAX_EARLY = 4
_MAX_EARLY_LENGTH = 1500


class DtlsMedia:
    """The associations of one stream: of RTP and RTCP together, or one of each without rtcp-mux (RFC 5764 3).

    With `ice` the peer is where its connectivity checks come from, and no DTLS is taken from elsewhere: an IceLite
    shares the socket, an IceAgent is the path itself. Either has one component, so that RTCP has to be multiplexed.
    """

    def __init__(self, method: DtlsSrtp, ice: IceLite | IceAgent | None = None) -> None:
        self._method = method
        self._ice = ice
        self._send: Send = _unsent
        self._keyed: Callable[[KeyedMedia], None] = _unheard
        self._failed: Callable[[str], None] = _unheard
        self._result: DtlsSrtpResult | None = None
        # By whether it is that of the RTCP port.
        self._associations: dict[bool, DtlsAssociation] = {}
        # A ClientHello may outrun the answer; it is looked at once the answer says whose it may be.
        self._early: dict[bool, deque[tuple[bytes, Address]]] = {
            by_rtcp_socket: deque(maxlen=_MAX_EARLY) for by_rtcp_socket in (False, True)
        }

    def attach(self, send: Send, keyed: Callable[[KeyedMedia], None], failed: Callable[[str], None]) -> None:
        """Says how to send, and whom to tell of keys and of failures."""
        self._send, self._keyed, self._failed = send, keyed, failed
        if self._ice is not None and not isinstance(self._ice, IceLite):
            self._ice.on_selected = self._selected

    def start(self, agreed: NegotiatedMedia) -> None:
        """Begins the handshakes for what was negotiated.

        Goes on with the associations in force when that was meant; their keys are reported again. Raises DtlsError
        when the keying is not of this method and certificate, and SecurityPolicyError for ICE without rtcp-mux.
        """
        result, current = agreed.keying, self._result
        if isinstance(result, DtlsSrtpResult) and current is not None and result.association == current.association:
            self._result = result
            self._report()
            return
        if self._ice is not None and not agreed.rtcp_mux:
            raise SecurityPolicyError("ICE here has one component, and needs a=rtcp-mux", tier="media")
        places: dict[bool, Address] = {False: (agreed.remote_address, agreed.remote_port)}
        if not agreed.rtcp_mux:
            places[True] = (agreed.remote_rtcp_address or agreed.remote_address, agreed.remote_rtcp_port)
        connections = {
            by_rtcp_socket: self._method.connection(result, signalled=None if self._ice is not None else place)
            for by_rtcp_socket, place in places.items()
        }
        assert isinstance(result, DtlsSrtpResult)
        self.close()
        self._result = result
        for by_rtcp_socket, connection in connections.items():
            send = self._send_rtcp if by_rtcp_socket else self._send_rtp
            self._associations[by_rtcp_socket] = DtlsAssociation(connection, send, self._happened)
        if self._ice is not None:
            for address in self._ice.validated:
                self._associations[False].validate(address, selected=address == self._ice.selected)
        for by_rtcp_socket, association in list(self._associations.items()):
            association.start(tuple(self._early[by_rtcp_socket]))
            self._early[by_rtcp_socket].clear()

    def receive(self, data: bytes, source: Address, *, by_rtcp_socket: bool = False) -> bool:
        """Takes a datagram of the media's ports if it is STUN or DTLS; returns whether it was."""
        kind = kind_of(data)
        if kind is DatagramKind.STUN:
            self._receive_stun(data, source)
        elif kind is DatagramKind.DTLS:
            association = self._associations.get(by_rtcp_socket)
            if association is not None:
                association.receive(data, source)
            elif not self._associations and len(data) <= _MAX_EARLY_LENGTH:
                self._early[by_rtcp_socket].append((data, source))
        else:
            return False
        return True

    def close(self) -> None:
        """Ends the associations, telling the peer."""
        associations, self._associations = self._associations, {}
        for association in associations.values():
            association.close()

    def _receive_stun(self, data: bytes, source: Address) -> None:
        if not isinstance(self._ice, IceLite):
            return
        reply = self._ice.receive_datagram(data, source)
        if reply.datagram is not None:
            self._send_rtp(reply.datagram, source)
        if reply.event is not None and reply.event.nominated:
            self._selected(source)
        elif reply.event is not None and self._associations:
            self._associations[False].validate(source)

    def _selected(self, address: Address) -> None:
        """ICE says where the peer is, or that it is elsewhere now."""
        if self._associations:
            self._associations[False].validate(address, selected=True)
            self._report()

    def _happened(self, event: DtlsEvent) -> None:
        # What a close_notify ends is the association: RFC 5764 leaves the keys of SRTP as they are, and the
        # signalling says when the media ends.
        if isinstance(event, HandshakeCompleted):
            self._report()
        elif isinstance(event, HandshakeFailed):
            self._failed(f"DTLS handshake failed ({event.failure.value}): {event.reason}")

    def _report(self) -> None:
        """Tells of the keys, once all are there."""
        completed = {by_rtcp: association.completed for by_rtcp, association in self._associations.items()}
        rtp, rtcp = completed.get(False), completed.get(True)
        if self._result is None or rtp is None or None in completed.values():
            return
        selected = None if self._ice is None else self._ice.selected or next(iter(self._ice.validated), None)
        policies = None if rtcp is None else (rtcp.outbound, rtcp.inbound)
        self._keyed(KeyedMedia(self._result.completed(rtp), selected, policies))

    def _send_rtp(self, data: bytes, address: Address) -> None:
        self._send(data, address, False)

    def _send_rtcp(self, data: bytes, address: Address) -> None:
        self._send(data, address, True)


def _unsent(_: bytes, __: Address, ___: bool) -> None:
    """Before attach()."""


def _unheard(_: object) -> None:
    """Before attach()."""
