"""DTLS-SRTP on the running event loop: the handshake on the media's own port, and ICE-lite where it is wanted."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rtp.udp import Address
from sdp.demultiplexing import DatagramKind, kind_of
from sdp.dtls import (
    AssociationClosed,
    DtlsConnection,
    DtlsSrtp,
    DtlsSrtpResult,
    HandshakeCompleted,
    HandshakeFailed,
)
from sdp.ice_lite import IceLite
from sdp.keying import KeyingResult

from .late_keying import KeyedMedia

if TYPE_CHECKING:
    from .ice_agent import IceAgent

_MAX_EARLY = 4
_MAX_EARLY_LENGTH = 1500
Send = Callable[[bytes, Address], None]


class DtlsMedia:
    """The associations of one media socket, one after the other; a `LateKeying`.

    With `ice` the peer is where its connectivity checks come from, and no DTLS is taken from elsewhere: an IceLite
    shares the socket, an IceAgent is the path itself.
    """

    def __init__(self, method: DtlsSrtp, ice: IceLite | IceAgent | None = None) -> None:
        self._method = method
        self._ice = ice
        self._send: Send = _unsent
        self._keyed: Callable[[KeyedMedia], None] = _unheard
        self._failed: Callable[[str], None] = _unheard
        self._result: DtlsSrtpResult | None = None
        self._completed: HandshakeCompleted | None = None
        self._connection: DtlsConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        # A ClientHello may outrun the answer; it is looked at once the answer says whose it may be.
        self._early: deque[tuple[bytes, Address]] = deque(maxlen=_MAX_EARLY)

    def attach(self, send: Send, keyed: Callable[[KeyedMedia], None], failed: Callable[[str], None]) -> None:
        """Says how to send, and whom to tell of keys and of failures."""
        self._send, self._keyed, self._failed = send, keyed, failed
        if self._ice is not None and not isinstance(self._ice, IceLite):
            self._ice.on_selected = self._selected

    def start(self, result: KeyingResult) -> None:
        """Begins the handshake for what was negotiated.

        Goes on with the association in force when that was meant; its keys are reported again. Raises DtlsError
        when the result is not of this method and certificate.
        """
        current = self._result
        if isinstance(result, DtlsSrtpResult) and current is not None and result.association == current.association:
            self._result = result
            self._report()
            return
        connection = self._method.connection(result, ice=self._ice is not None)
        assert isinstance(result, DtlsSrtpResult)
        self._end_connection()
        self._connection, self._result, self._completed = connection, result, None
        now = time.monotonic()
        if self._ice is not None:
            for address in self._ice.validated:
                connection.validate(address, now)
            if self._ice.selected is not None:
                connection.validate(self._ice.selected, now, selected=True)
        connection.start(now)
        while self._early:
            connection.receive_datagram(*self._early.popleft(), now)
        self._run()

    def receive(self, data: bytes, source: Address) -> bool:
        """Takes a datagram of the media's port if it is STUN or DTLS; returns whether it was."""
        kind = kind_of(data)
        if kind is DatagramKind.STUN:
            self._receive_stun(data, source)
        elif kind is DatagramKind.DTLS:
            if self._connection is not None:
                self._connection.receive_datagram(data, source, time.monotonic())
                self._run()
            elif len(data) <= _MAX_EARLY_LENGTH:
                self._early.append((data, source))
        else:
            return False
        return True

    def close(self) -> None:
        """Ends the association, telling the peer."""
        self._end_connection()

    def _receive_stun(self, data: bytes, source: Address) -> None:
        if not isinstance(self._ice, IceLite):
            return
        reply = self._ice.receive_datagram(data, source)
        if reply.datagram is not None:
            self._send(reply.datagram, source)
        if reply.event is not None and reply.event.nominated:
            self._selected(source)
        elif reply.event is not None and self._connection is not None:
            self._connection.validate(source, time.monotonic())
            self._run()

    def _selected(self, address: Address) -> None:
        """ICE says where the peer is, or that it is elsewhere now."""
        if self._connection is not None:
            self._connection.validate(address, time.monotonic(), selected=True)
            self._run()
            self._report()

    def _run(self) -> None:
        """Sends what is to be sent, looks at what happened, and sets the timer anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection = self._connection
        if connection is None:
            return
        for datagram, address in connection.datagrams_to_send():
            self._send(datagram, address)
        for event in connection.events():
            if isinstance(event, HandshakeCompleted):
                self._completed = event
                self._report()
            elif isinstance(event, HandshakeFailed):
                self._failed(f"DTLS handshake failed ({event.failure.value}): {event.reason}")
            elif isinstance(event, AssociationClosed):
                # RFC 5764 leaves the SRTP keys as they are; the signalling says when the media ends.
                continue
        now = time.monotonic()
        due = connection.next_timer(now)
        if due is not None and self._connection is connection:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._connection is not None:
            self._connection.handle_timer(time.monotonic())
            self._run()

    def _report(self) -> None:
        if self._result is not None and self._completed is not None:
            selected = None if self._ice is None else self._ice.selected or next(iter(self._ice.validated), None)
            self._keyed(KeyedMedia(self._result.completed(self._completed), selected))

    def _end_connection(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            for datagram, address in connection.datagrams_to_send():
                self._send(datagram, address)


def _unsent(_: bytes, __: Address) -> None:
    """Before attach()."""


def _unheard(_: object) -> None:
    """Before attach()."""
