"""One DTLS association on the running event loop: a `DtlsConnection` with its timer and its way to send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from rtp.udp import Address
from sdp.dtls import DtlsConnection, DtlsEvent, HandshakeCompleted


class DtlsAssociation:
    """Runs an association; `happened` is called for every event. `completed` has the keys once they are there."""

    def __init__(
        self,
        connection: DtlsConnection,
        send: Callable[[bytes, Address], None],
        happened: Callable[[DtlsEvent], None],
    ) -> None:
        self._connection = connection
        self._send = send
        self._happened = happened
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.completed: HandshakeCompleted | None = None

    def start(self, early: Iterable[tuple[bytes, Address]] = ()) -> None:
        """Begins; `early` are the datagrams that have come before."""
        now = time.monotonic()
        self._connection.start(now)
        for data, source in early:
            self._connection.receive_datagram(data, source, now)
        self._run()

    def receive(self, data: bytes, source: Address) -> None:
        """Takes a datagram of DTLS."""
        self._connection.receive_datagram(data, source, time.monotonic())
        self._run()

    def validate(self, address: Address, *, selected: bool = False) -> None:
        """Says that ICE has found the peer at an address, and whether that is the one to use."""
        self._connection.validate(address, time.monotonic(), selected=selected)
        self._run()

    def close(self) -> None:
        """Ends the association, telling the peer when it is established."""
        self._closed = True
        self._connection.close()
        self._run()

    def _run(self) -> None:
        """Sends what is to be sent, tells what happened, and sets the timer anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for datagram, address in self._connection.datagrams_to_send():
            self._send(datagram, address)
        if self._closed:
            return
        for event in self._connection.events():
            if isinstance(event, HandshakeCompleted):
                self.completed = event
            self._happened(event)
        now = time.monotonic()
        due = self._connection.next_timer(now)
        if due is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._connection.handle_timer(time.monotonic())
        self._run()
