"""Damages DTLS handshakes and the SDP before them: only SdpError may come out of SDP, and nothing out of datagrams.

Run by hand: python tests/fuzz/fuzz_dtls.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1. The keys of a handshake are random, so that only what is damaged is the same for a seed.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import damage, fuzz
from dtls_link import CLIENT, SERVER, pair

from sdp import LocalMedia, MediaSecurity, SdpError, SessionDescription, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp, HandshakeCompleted
from sdp.ice.attributes import IceDescription

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


def session(certificate: DtlsCertificate, port: int) -> SessionNegotiation:
    media = [LocalMedia("192.0.2.1", port, keying=(DtlsSrtp(certificate),), security=MediaSecurity.REQUIRED)]
    return SessionNegotiation(media)


def check_offer(data: bytes) -> None:
    answering = session(BOB, 5000)
    with contextlib.suppress(SdpError):
        answering.receive_offer(data)
        answering.create_answer()
        check_agreed(answering, BOB)


def check_answer(data: bytes) -> None:
    offering = session(ALICE, 4000)
    offering.create_offer()
    with contextlib.suppress(SdpError):
        offering.receive_answer(data)
        check_agreed(offering, ALICE)


def check_agreed(negotiation: SessionNegotiation, certificate: DtlsCertificate) -> None:
    """What was agreed on is DTLS-SRTP with fingerprints that an association takes."""
    agreed = None if negotiation.agreement is None else negotiation.agreement.of_stream(0)
    if agreed is not None:
        assert agreed.keys_pending
        IceDescription.of(SessionDescription((), (agreed.remote_section,)), agreed.remote_section)  # type: ignore[arg-type]
        DtlsSrtp(certificate).connection(agreed.keying, signalled=(agreed.remote_address, agreed.remote_port))


OFFER = session(ALICE, 4000).create_offer().encode()
ANSWER = OFFER.replace(b"actpass", b"active").replace(
    ALICE.fingerprint().serialize().encode(), BOB.fingerprint("sha-512").serialize().encode() + b"\r\na=ice-ufrag:abcd"
)
ANSWER += b"a=fingerprint:" + BOB.fingerprint().serialize().encode() + b"\r\na=ice-pwd:" + b"p" * 22 + b"\r\n"
SDP_PIECES = [
    b"\r\n",
    b"a=setup:",
    b"a=fingerprint:",
    b"a=tls-id:",
    b"sha-256 ",
    b"sha-1 ",
    b"md5 ",
    b"holdconn",
    b"AB:",
]

if __name__ == "__main__":
    checks = [
        (check_damaged_link, RECORDED),
        (check_datagram, RECORDED),
        (check_offer, [OFFER, ANSWER]),
        (check_answer, [ANSWER, OFFER]),
    ]
    sys.exit(fuzz(checks, PIECES + SDP_PIECES, sys.argv[1:]))
