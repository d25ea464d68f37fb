"""Two DTLS associations with a link between them that loses, repeats or swaps datagrams as a test wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sdp.dtls import Address, DtlsCertificate, DtlsConnection, DtlsEvent, DtlsState, SetupRole

CLIENT = ("192.0.2.1", 4000)
SERVER = ("192.0.2.2", 5000)
STRANGER = ("198.51.100.66", 6666)
# What becomes of the n-th datagram of the link, from 1: the datagrams that arrive instead.
Fate = Callable[[int, bytes], Iterable[bytes]]


def unharmed(_: int, datagram: bytes) -> Iterable[bytes]:
    return (datagram,)


@dataclass
class Link:
    """`sent` are the datagrams of both sides in order, `client_events` and `server_events` what they reported."""

    client: DtlsConnection
    server: DtlsConnection
    fate: Fate = unharmed
    client_address: Address = CLIENT
    server_address: Address = SERVER
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    client_events: list[DtlsEvent] = field(default_factory=list)
    server_events: list[DtlsEvent] = field(default_factory=list)

    def start(self, now: float = 0.0) -> None:
        self.server.start(now)
        self.client.start(now)

    def deliver(self, now: float = 0.0) -> None:
        """Carries datagrams to and fro until both sides are silent."""
        while self._carry("client", now) or self._carry("server", now):
            assert len(self.sent) < 2000, "the two never stop"
        self.client_events += self.client.events()
        self.server_events += self.server.events()

    def _carry(self, side: str, now: float) -> bool:
        from_client = side == "client"
        sender, receiver = (self.client, self.server) if from_client else (self.server, self.client)
        source, to = self.client_address, self.server_address
        source, to = (source, to) if from_client else (to, source)
        datagrams = sender.datagrams_to_send()
        for datagram, destination in datagrams:
            assert destination == to
            self.sent.append((side, datagram))
            for arriving in self.fate(len(self.sent), datagram):
                receiver.receive_datagram(arriving, source, now)
        return bool(datagrams)

    @property
    def connected(self) -> bool:
        return self.client.state is self.server.state is DtlsState.CONNECTED

    @property
    def ended(self) -> bool:
        return DtlsState.FAILED in (self.client.state, self.server.state)


def run_together(links: Iterable[Link], *, seconds: float) -> None:
    """Runs several links side by side until each is connected or failed: OpenSSL's timers need real time."""
    links = list(links)
    for link in links:
        link.start(time.monotonic())
    while waiting := [link for link in links if not (link.connected or link.ended)]:
        now = time.monotonic()
        for link in waiting:
            for side in (link.client, link.server):
                timer = side.next_timer(now)
                if timer is not None and timer <= now:
                    side.handle_timer(now)
            link.deliver(now)
        seconds -= 0.02
        assert seconds > 0, f"{len(waiting)} of {len(links)} links came to nothing"
        time.sleep(0.02)


def pair(
    client_certificate: DtlsCertificate,
    server_certificate: DtlsCertificate,
    fate: Fate = unharmed,
    *,
    signalled: bool = True,
    **settings: Any,
) -> Link:
    """Returns a link whose two sides were told each other's fingerprints, and addresses unless not `signalled`."""

    def side(mine: DtlsCertificate, other: DtlsCertificate, role: SetupRole, address: Address) -> DtlsConnection:
        return DtlsConnection(mine, role, [other.fingerprint()], signalled=address if signalled else None, **settings)

    client = side(client_certificate, server_certificate, SetupRole.ACTIVE, SERVER)
    return Link(client, side(server_certificate, client_certificate, SetupRole.PASSIVE, CLIENT), fate)
