"""Whoever forges a datagram of the peer's address during a DTLS handshake delays it at most (RFC 6347 4.1.2.7)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from dtls_link import CLIENT, SERVER, Link, pair

from sdp.dtls import DtlsCertificate, DtlsConnection, DtlsFailure, DtlsState, HandshakeCompleted, HandshakeFailed

NOISE = random.Random(7)
SEQUENCES = range(8)
MESSAGE_TYPES = (0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 22, 99)
# Far beyond the window in which OpenSSL looks for replays.
RECORD_NUMBERS = (5, 100, (1 << 48) - 1)


@pytest.fixture(scope="module")
def certificates() -> tuple[DtlsCertificate, DtlsCertificate]:
    return DtlsCertificate.generate(), DtlsCertificate.generate()


def record(content_type: int, body: bytes, *, epoch: int = 0, number: int = 100, version: bytes = b"\xfe\xfd") -> bytes:
    return bytes([content_type]) + version + epoch.to_bytes(2) + number.to_bytes(6) + len(body).to_bytes(2) + body


def message(kind: int, sequence: int, body: bytes, *, total: int | None = None, offset: int = 0) -> bytes:
    length = (len(body) if total is None else total).to_bytes(3)
    return bytes([kind]) + length + sequence.to_bytes(2) + offset.to_bytes(3) + len(body).to_bytes(3) + body


def vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width) + content


# Messages whose lengths are all right, and whose contents are of no use.
WELL_FORMED = {
    1: b"\xfe\xfd" + NOISE.randbytes(32) + vector(1, b"") * 2 + vector(2, b"\0\1") + vector(1, b"\0"),
    2: b"\xfe\xfd" + NOISE.randbytes(32) + vector(1, b"") + b"\xc0\x2b\0",
    3: b"\xfe\xfd" + vector(1, NOISE.randbytes(20)),
    11: vector(3, vector(3, NOISE.randbytes(90))),
    12: b"\3\0\x17" + vector(1, NOISE.randbytes(65)) + b"\4\3" + vector(2, NOISE.randbytes(70)),
    13: vector(1, b"\1\x40") + vector(2, b"\4\3") + vector(2, b""),
    14: b"",
    15: b"\4\3" + vector(2, NOISE.randbytes(70)),
    16: vector(1, NOISE.randbytes(65)),
}
FORGED: dict[str, list[bytes]] = {
    "alerts": [record(21, bytes([2, description])) for description in (0, 40, 42, 80, 90)]
    + [record(21, bytes([1, 0])), record(21, b"\2"), record(21, bytes(9)), record(21, NOISE.randbytes(40), epoch=1)],
    "noise": [
        bytes([22]) + NOISE.randbytes(60),
        *(
            record(kind, NOISE.randbytes(size), epoch=epoch)
            for kind in (20, 21, 22, 23, 24)
            for size, epoch in ((60, 0), (5, 0), (60, 1), (60, 2))
        ),
        record(22, b""),
        record(22, NOISE.randbytes(40), version=b"\xfe\x00"),
    ],
    "change cipher spec": [record(20, body) for body in (b"\1", b"\2", b"\1\1\1", b"")],
    "application data": [record(23, b"hello")],
    "lengths": [
        record(22, message(2, 0, bytes(50), total=0xFFFFFF)),
        record(22, message(11, 1, bytes(50), total=60000, offset=59990)),
        record(22, message(11, 1, b"", total=60)),
        record(22, message(11, 1, bytes(50))[:-9]),
    ],
    "random bodies": [record(22, message(kind, at, NOISE.randbytes(60))) for kind in MESSAGE_TYPES for at in SEQUENCES],
    "well-formed messages": [
        record(22, message(kind, at, body)) for kind, body in WELL_FORMED.items() for at in SEQUENCES
    ],
    "parts of messages": [
        record(22, message(kind, at, NOISE.randbytes(20), total=90)) for kind in WELL_FORMED for at in SEQUENCES
    ],
    "record numbers": [
        record(kind, body, number=number)
        for number in RECORD_NUMBERS
        for kind, body in (
            (20, b"\1"),
            (21, b"\2\x28"),
            (22, message(14, 4, b"")),
            (22, message(16, 2, WELL_FORMED[16])),
        )
    ],
}


STRANGERS = DtlsCertificate.generate().der
FORGED["certificates"] = [
    record(22, message(11, at, vector(3, shown))) for at in SEQUENCES for shown in (vector(3, STRANGERS), b"")
]
FORGED["parts of certificates"] = [
    record(22, message(11, at, part, total=len(whole), offset=offset))
    for whole in (vector(3, vector(3, STRANGERS)),)
    for at in SEQUENCES
    for offset in (0, 100)
    for part in (whole[offset : offset + 100],)
]


def link_of(certificates: tuple[DtlsCertificate, DtlsCertificate], *, validated: bool) -> Link:
    link = pair(*certificates, signalled=not validated)
    if validated:
        link.server.validate(CLIENT, 0)
        link.client.validate(SERVER, 0, selected=True)
    return link


def run(link: Link, inject: Callable[[], None], position: int) -> bool:
    """Runs a handshake whose `position`-th datagram something precedes; returns whether it came so far."""
    reached = False

    def fate(number: int, datagram: bytes) -> tuple[bytes]:
        nonlocal reached
        if number == position:
            reached = True
            inject()
        return (datagram,)

    link.fate = fate
    link.start(0.0)
    link.deliver(0.0)
    now = 0.0
    # What had to begin anew does so by the clock that is given to it.
    while not (link.connected or link.ended) and now < 25:
        now += 1.05
        for side in (link.client, link.server):
            side.handle_timer(now)
        link.deliver(now)
    return reached


@pytest.mark.parametrize("validated", [False, True], ids=["signalled", "validated"])
@pytest.mark.parametrize("target", ["client", "server"])
@pytest.mark.parametrize("kind", FORGED)
def test_one_forged_datagram_ends_no_handshake(
    certificates: tuple[DtlsCertificate, DtlsCertificate], kind: str, target: str, validated: bool
) -> None:
    source = SERVER if target == "client" else CLIENT
    cases = FORGED[kind]
    cases = cases if len(cases) < 30 else NOISE.sample(cases, 30)
    for forged in cases:
        for position in range(1, 8):
            link = link_of(certificates, validated=validated)
            under_attack: DtlsConnection = getattr(link, target)
            if not run(link, lambda it=under_attack, what=forged: it.receive_datagram(what, source, 0.0), position):  # type: ignore[misc]
                break
            assert link.connected, f"{forged.hex()} before datagram {position}"
            keys = [one for one in link.client_events + link.server_events if isinstance(one, HandshakeCompleted)]
            assert keys[0].outbound == keys[-1].inbound


@pytest.mark.parametrize("target", ["client", "server"])
@pytest.mark.parametrize("kind", FORGED)
def test_nor_an_association(certificates: tuple[DtlsCertificate, DtlsCertificate], kind: str, target: str) -> None:
    link = link_of(certificates, validated=False)
    run(link, lambda: None, 99)
    under_attack: DtlsConnection = getattr(link, target)
    for forged in FORGED[kind]:
        under_attack.receive_datagram(forged, SERVER if target == "client" else CLIENT, 0.0)
        link.deliver(0.0)
    assert link.connected
    assert len(link.client_events) == len(link.server_events) == 1


def test_what_ends_it_is_its_time_and_the_reason_is_told(
    certificates: tuple[DtlsCertificate, DtlsCertificate],
) -> None:
    """An alert in clear is no proof, but when nothing else comes it is worth telling."""
    client = pair(*certificates, handshake_seconds=30.0).client
    client.start(0.0)
    client.receive_datagram(record(21, b"\2\x28"), SERVER, 0.5)
    assert client.events() == []
    now = 0.0
    while client.state is not DtlsState.FAILED:
        now = client.next_timer(now + 0.01) or 99.0
        client.handle_timer(now)
        assert now <= 30.0
    (event,) = client.events()
    assert isinstance(event, HandshakeFailed)
    assert event.failure is DtlsFailure.TIMEOUT
    assert "alert (40)" in event.reason
    assert now == 30.0


def test_forgeries_do_not_make_us_send_without_end(certificates: tuple[DtlsCertificate, DtlsCertificate]) -> None:
    """A client begins anew at most once a second, whatever it is sent."""
    client = pair(*certificates).client
    client.start(0.0)
    client.datagrams_to_send()
    sent = 0
    useless = record(22, message(2, 0, WELL_FORMED[2]))
    for number in range(500):
        now = number / 100
        client.receive_datagram(useless, SERVER, now)
        client.receive_datagram(record(21, b"\2\x28"), SERVER, now)
        client.handle_timer(now)
        sent += sum(datagram[0] == 22 for datagram, _ in client.datagrams_to_send())
    assert sent <= 2 * 5


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("seed", range(40))
def test_a_changed_copy_that_comes_first_ends_no_handshake(
    certificates: tuple[DtlsCertificate, DtlsCertificate], seed: int, side: str
) -> None:
    """One bit of it is another one: in a random, a length, a signature, the client's certificate.

    Not in the server's: with its key in it, that is taken for a certificate that was not signalled.
    """
    rng = random.Random(seed)
    server_certificate = certificates[1].der
    link = link_of(certificates, validated=bool(seed % 3))
    seen = 0

    def fate(_: int, datagram: bytes) -> tuple[bytes, ...]:
        nonlocal seen
        if link.sent[-1][0] != side:
            return (datagram,)
        seen += 1
        if seen != 1 + seed % 4:
            return (datagram,)
        changed = bytearray(datagram)
        at = datagram.find(server_certificate)
        spared = range(at, at + len(server_certificate)) if at >= 0 else range(0)
        changed[rng.choice([n for n in range(len(changed)) if n not in spared])] ^= 1 << rng.randrange(8)
        return bytes(changed), datagram

    link.fate = fate
    link.start(0.0)
    link.deliver(0.0)
    now = 0.0
    while not (link.connected or link.ended) and now < 25:
        now += 1.05
        for one in (link.client, link.server):
            one.handle_timer(now)
        link.deliver(now)
    assert link.connected, (link.client_events, link.server_events)
