"""Damages the datagrams of DTLS handshakes: nothing may be raised, and no keys may come of a peer that is another.

Run by hand: python tests/fuzz/fuzz_dtls.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1. The keys of a handshake are random, so that only what is damaged is the same for a seed.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import damage, fuzz
from dtls_link import CLIENT, SERVER, pair

from sdp.dtls import DtlsCertificate, HandshakeCompleted

ALICE, BOB = DtlsCertificate.generate(), DtlsCertificate.generate()
PIECES = [
    b"\x16\xfe\xfd",
    b"\x15\xfe\xfd",
    b"\x14\xfe\xfd",
    b"\x17\xfe\xfd",
    bytes(8),
    b"\xff\xff\xff",
    b"\0\x0e",
    b"\x02\x28",
]


def recorded() -> list[bytes]:
    link = pair(ALICE, BOB)
    link.start()
    link.deliver()
    return [datagram for _, datagram in link.sent]


RECORDED = recorded()
_numbers = itertools.count()


def with_fixed_lengths(data: bytes) -> bytes:
    """The datagram as one record of the right length, so that the damage gets past the record layer."""
    return data[:11].ljust(11, b"\0") + len(data[13:]).to_bytes(2) + data[13:]


def check_damaged_link(data: bytes) -> None:
    """A handshake in which one datagram, and one more at times, is replaced by a damaged one."""
    source = random.Random(next(_numbers))
    which = {source.randint(1, 6), source.randint(1, 12)}

    def fate(number: int, datagram: bytes) -> Iterable[bytes]:
        if number not in which:
            return (datagram,)
        damaged = damage(source, datagram, [data, *RECORDED], PIECES)
        return source.choice(
            [(damaged,), (damaged, datagram), (with_fixed_lengths(damaged), datagram), (data, datagram)]
        )

    link = pair(ALICE, BOB, fate, signalled=source.random() < 0.5)
    if link.client.signalled is None:
        link.client.validate(SERVER, 0.0, selected=True)
        link.server.validate(CLIENT, 0.0, selected=True)
    link.start()
    link.deliver()
    if link.connected:
        (ours,), (theirs,) = link.client_events, link.server_events
        assert isinstance(ours, HandshakeCompleted)
        assert isinstance(theirs, HandshakeCompleted)
        assert (ours.outbound, ours.inbound) == (theirs.inbound, theirs.outbound)


def check_datagram(data: bytes) -> None:
    """A damaged datagram at the beginning, and after the handshake, in either direction."""
    for one in (data, with_fixed_lengths(data)):
        link = pair(ALICE, BOB)
        link.server.receive_datagram(one, CLIENT, 0.0)
        link.start()
        link.client.receive_datagram(one, SERVER, 0.0)
        link.deliver()
        link.server.receive_datagram(one, CLIENT, 0.0)
        link.client.receive_datagram(one, SERVER, 0.0)
        link.deliver()


if __name__ == "__main__":
    sys.exit(fuzz([(check_damaged_link, RECORDED), (check_datagram, RECORDED)], PIECES, sys.argv[1:]))
