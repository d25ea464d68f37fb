"""Handshakes over links that lose, repeat and reorder datagrams (RFC 6347 4.2.4).

OpenSSL times its retransmissions with the system's clock, first after a second, so that links run side by side.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from dtls_link import Fate, Link, pair, run_together

from sdp.dtls import DtlsCertificate, HandshakeCompleted


def drops(every: int, first: int = 0) -> Fate:
    """Loses the `every`-th datagram, counted from `first` on."""
    return lambda number, datagram: () if number % every == first % every else (datagram,)


def drops_once(number: int) -> Fate:
    return lambda at, datagram: () if at == number else (datagram,)


def drops_some(seed: int) -> Fate:
    """Loses three of the first eighteen datagrams."""
    lost = random.Random(seed).sample(range(1, 19), 3)
    return lambda at, datagram: () if at in lost else (datagram,)


def repeats(number: int, datagram: bytes) -> Iterable[bytes]:
    return (datagram, datagram)


class Swaps:
    """Lets each second datagram overtake the one before, of the same flight or not."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def __call__(self, number: int, datagram: bytes) -> Iterable[bytes]:
        if number % 3 == 0:
            self.kept.append(datagram)
            return ()
        kept, self.kept = self.kept, []
        return (datagram, *kept)


def check(links: list[Link]) -> None:
    run_together(links, seconds=30.0)
    for link in links:
        (ours,), (theirs,) = link.client_events, link.server_events
        assert isinstance(ours, HandshakeCompleted)
        assert isinstance(theirs, HandshakeCompleted)
        assert (ours.outbound, ours.inbound) == (theirs.inbound, theirs.outbound)


def test_losing_every_nth_datagram(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    """With datagrams large enough that no flight has as many of them as are counted: what always loses the same
    part of a flight can be met by no retransmission."""
    check([pair(alice, bob, drops(every, first)) for every in (3, 4, 5, 7) for first in (0, 1)])


def test_losing_some_of_many_small_datagrams(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    check([pair(alice, bob, drops_some(seed), mtu=300) for seed in range(12)])


def test_losing_any_one_datagram(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    links = [pair(alice, bob, drops_once(number)) for number in range(1, 8)]
    check(links)
    assert all(len(link.sent) > 6 for link in links[:6])


def test_repeated_and_reordered_datagrams(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    check([pair(alice, bob, repeats), pair(alice, bob, Swaps(), mtu=300)])


def test_losing_all_ends_in_time(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob, drops(1), handshake_seconds=1.5)
    run_together([link], seconds=10.0)
    assert link.ended
    assert len(link.sent) >= 2, "the ClientHello was not sent again"
