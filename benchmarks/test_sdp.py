"""What SDP and keying cost from Python, on one core: parsing beside aiortc's in the same run, and whole exchanges."""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest
from aiortc.sdp import SessionDescription as OtherDescription
from mikey_parties import BOB_SSRC, NOW, STREAMS, Pair, RsaAuthority

from sdp import AudioNegotiation, LocalMedia, SessionDescription
from sdp.dtls import DtlsCertificate, DtlsConnection, HandshakeCompleted, SetupRole
from sdp.mikey import Initiator, Mode, Ourselves, Peer, Proposal, ReplayCache, Responder, streams_of_media, uri_id
from srtp import SecretBytes, Session

ROUNDS = 21
ALICE, BOB = uri_id("sip:alice@example.com"), uri_id("sip:bob@example.com")
KEY = SecretBytes(bytes(range(32)))
OFFER = AudioNegotiation(LocalMedia("192.0.2.1", 4000, telephone_event=101, mid="0")).create_offer()


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Pins the process to the last of its cores, where least else runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def ours() -> str:
    return SessionDescription.parse(OFFER).serialize()


def theirs() -> str:
    return str(OtherDescription.parse(OFFER))


def security_descriptions() -> tuple[Session, Session]:
    """From an offer and its answer to both sides' sessions."""
    alice = AudioNegotiation(LocalMedia("192.0.2.1", 4000))
    bob = AudioNegotiation(LocalMedia("192.0.2.2", 5000))
    bob.receive_offer(alice.create_offer())
    mine = alice.receive_answer(bob.create_answer())
    other = bob.negotiated
    assert other is not None
    return Session(mine.outbound, mine.inbound), Session(other.outbound, other.inbound)


def dtls_srtp(certificates: tuple[DtlsCertificate, DtlsCertificate]) -> Callable[[], object]:
    """A handshake of both sides over a link without loss, to the policies."""
    places = (("192.0.2.1", 4000), ("192.0.2.2", 5000))

    def handshake() -> object:
        ends = [
            DtlsConnection(
                certificates[number],
                (SetupRole.ACTIVE, SetupRole.PASSIVE)[number],
                [certificates[1 - number].fingerprint()],
                signalled=places[1 - number],
            )
            for number in (0, 1)
        ]
        for end in ends:
            end.start(0.0)
        done: list[HandshakeCompleted] = []
        while len(done) < 2:
            for number, end in enumerate(ends):
                for datagram, _ in end.datagrams_to_send():
                    ends[1 - number].receive_datagram(datagram, places[number], 0.0)
            done += [event for end in ends for event in end.events() if isinstance(event, HandshakeCompleted)]
        assert done[0].outbound == done[1].inbound
        return done

    return handshake


def mikey(mode: Mode) -> Callable[[], object]:
    """An exchange with a response: what initiator and responder cost together."""
    proposal = Proposal(mode=mode, streams=streams_of_media((1,)))
    responder = Responder(Ourselves(BOB), lambda claimed: Peer(ALICE, KEY), ReplayCache())

    def exchange() -> object:
        initiator = Initiator(proposal, Ourselves(ALICE), Peer(BOB, KEY))
        now = time.time()
        accepted = responder.receive(initiator.create_message(now), now, ssrcs=(2,))
        assert accepted.response is not None
        bundle = initiator.receive(accepted.response, now)
        assert bundle.sessions[0].policy == accepted.bundle.sessions[0].policy
        return bundle

    return exchange


def seconds_each(operation: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - started) / count


def test_beside_aiortc(capsys: pytest.CaptureFixture[str]) -> None:
    """Parse and serialise the same offer, the two taking turns."""
    assert ours() == OFFER
    assert "m=audio 4000" in theirs()
    pairs = [(seconds_each(ours, 50), seconds_each(theirs, 50)) for _ in range(ROUNDS)]
    mine, other = (median(column) for column in zip(*pairs, strict=True))
    version = importlib.metadata.version("aiortc")
    with capsys.disabled():
        print(f"\nparse and serialise an offer of {len(OFFER)} bytes, beside aiortc {version}")
        print(f"  {1e6 * mine:8.1f} us against {1e6 * other:8.1f} us   {other / mine:5.2f} x as fast")


def test_parse_and_serialise(benchmark) -> None:
    benchmark.pedantic(ours, rounds=ROUNDS, iterations=50)


def test_security_descriptions(benchmark) -> None:
    benchmark.pedantic(security_descriptions, rounds=ROUNDS, iterations=10)


def test_dtls_srtp(benchmark) -> None:
    certificates = (DtlsCertificate.generate(), DtlsCertificate.generate())
    benchmark.pedantic(dtls_srtp(certificates), rounds=5, iterations=4)


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.DHHMAC])
def test_mikey(benchmark, mode: Mode) -> None:
    benchmark.pedantic(mikey(mode), rounds=5, iterations=4)


@pytest.mark.parametrize("mode", [Mode.PUBLIC_KEY, Mode.DH_SIGN, Mode.RSA_R])
def test_mikey_by_certificates(benchmark, mode: Mode) -> None:
    """With RSA keys of 2,048 bits and chains of two certificates, checked by both sides."""
    authority = RsaAuthority("benchmarks")
    pair = Pair(authority.issue("sip:alice@example.com"), authority.issue("sip:bob@example.com"), authority)

    def exchange() -> object:
        initiator = pair.initiator(Proposal(mode=mode, streams=STREAMS))
        accepted = pair.responder().receive(initiator.create_message(NOW), NOW, ssrcs=(BOB_SSRC,))
        return initiator.receive(accepted.response, NOW) if accepted.response is not None else accepted.bundle

    benchmark.pedantic(exchange, rounds=5, iterations=2)
