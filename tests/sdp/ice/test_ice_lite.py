from __future__ import annotations

import asyncio

import aioice
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdp import Direction, LocalMedia, MediaSecurity, SessionNegotiation
from sdp.description.session_description import SessionDescription
from sdp.errors import NegotiationError
from sdp.ice.attributes import IceCandidate, IceCredentials, IceDescription
from sdp.ice.lite import IceLite, PeerValidated
from sdp.ice.stun import StunAttribute, StunClass, StunMessage, decode_error, decode_xor_address

PEER = ("198.51.100.7", 4242)
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


@pytest.fixture
def agent() -> IceLite:
    return IceLite((("192.0.2.1", 5000),), IceCredentials("ours", "p" * 22))


def check(
    agent: IceLite,
    *more: tuple[int, bytes],
    username: bytes | None = b"ours:theirs",
    key: bytes | None = None,
    fingerprint: bool = True,
    message_class: StunClass = StunClass.REQUEST,
) -> tuple[StunMessage, bytes]:
    attributes = [(StunAttribute.PRIORITY, bytes(4)), (StunAttribute.ICE_CONTROLLING, bytes(8)), *more]
    if username is not None:
        attributes.insert(0, (StunAttribute.USERNAME, username))
    message = StunMessage(message_class, attributes=tuple(attributes))
    return message, message.serialize(b"p" * 22 if key is None else key or None, fingerprint=fingerprint)


def error_of(agent: IceLite, data: bytes) -> tuple[int, bool]:
    """The code of the error that answers, and whether it is authenticated."""
    before = agent.validated
    reply = agent.receive_datagram(data, PEER)
    assert reply.event is None
    assert agent.validated == before
    assert reply.datagram is not None
    response = StunMessage.parse(reply.datagram)
    assert response.message_class is StunClass.ERROR
    value = response.attribute(StunAttribute.ERROR_CODE)
    assert value is not None
    return decode_error(value)[0], response.is_authentic(b"p" * 22)


def test_a_check_is_answered_and_validates_its_source(agent: IceLite) -> None:
    request, data = check(agent)
    reply = agent.receive_datagram(data, PEER)
    assert reply.datagram is not None
    response = StunMessage.parse(reply.datagram)
    assert response.message_class is StunClass.SUCCESS
    assert response.transaction_id == request.transaction_id
    assert response.has_fingerprint
    assert response.is_authentic(b"p" * 22)
    mapped = response.attribute(StunAttribute.XOR_MAPPED_ADDRESS)
    assert mapped is not None
    assert decode_xor_address(mapped, response.transaction_id) == PEER
    assert reply.event == PeerValidated(PEER, nominated=False)
    assert (agent.validated, agent.selected) == ((PEER,), None)


def test_nomination_selects(agent: IceLite) -> None:
    nominating = check(agent, (StunAttribute.USE_CANDIDATE, b""))[1]
    assert agent.receive_datagram(check(agent)[1], PEER).event == PeerValidated(PEER, nominated=False)
    assert agent.receive_datagram(nominating, PEER).event == PeerValidated(PEER, nominated=True)
    assert agent.selected == PEER
    # Consent checks (RFC 7675) are answered and are no news.
    again = agent.receive_datagram(nominating, PEER)
    assert again.datagram is not None
    assert again.event is None


@pytest.mark.parametrize(
    ("code", "authentic", "changes"),
    [
        (400, False, {"key": b""}),
        (400, False, {"username": None}),
        (400, False, {"username": b"x" * 600}),
        (401, False, {"key": b"q" * 22}),
        (401, False, {"username": b"theirs:ours"}),
        (401, False, {"username": b"ours"}),
        (401, False, {"username": b"\xff\xfe:x"}),
    ],
)
def test_what_does_not_authenticate(agent: IceLite, code: int, authentic: bool, changes: dict[str, object]) -> None:
    assert error_of(agent, check(agent, **changes)[1]) == (code, authentic)  # type: ignore[arg-type]


def test_errors_for_the_authenticated(agent: IceLite) -> None:
    assert error_of(agent, check(agent, (0x7777, b"?"))[1]) == (420, True)
    assert error_of(agent, check(agent, (StunAttribute.ICE_CONTROLLED, bytes(8)))[1]) == (487, True)
    agent.remote_ufrag = "someone"
    assert error_of(agent, check(agent)[1]) == (401, False)
    agent.remote_ufrag = "theirs"
    assert agent.receive_datagram(check(agent)[1], PEER).event is not None


@pytest.mark.parametrize(
    "data",
    [
        check(None, fingerprint=False)[1],  # type: ignore[arg-type]
        check(None, message_class=StunClass.INDICATION)[1],  # type: ignore[arg-type]
        check(None, message_class=StunClass.SUCCESS)[1],  # type: ignore[arg-type]
        check(None, message_class=StunClass.ERROR)[1],  # type: ignore[arg-type]
        StunMessage(StunClass.REQUEST, method=3).serialize(b"p" * 22),
        b"",
        bytes(20),
    ],
    ids=["no fingerprint", "indication", "success", "error", "method", "nothing", "zeros"],
)
def test_what_gets_no_answer(agent: IceLite, data: bytes) -> None:
    reply = agent.receive_datagram(data, PEER)
    assert (reply.datagram, reply.event, agent.validated) == (None, None, ())


@given(data=st.binary(max_size=120))
def test_noise_gets_no_answer(data: bytes) -> None:
    agent = IceLite((("192.0.2.1", 5000),))
    reply = agent.receive_datagram(data, PEER)
    assert (reply.datagram, agent.validated) == (None, ())


def test_errors_are_no_longer_than_what_they_answer(agent: IceLite) -> None:
    """A forged source must not get more than was sent."""
    for changes in ({"key": b""}, {"username": None}, {"key": b"q" * 22}):
        data = check(agent, **changes)[1]  # type: ignore[arg-type]
        reply = agent.receive_datagram(data, PEER)
        assert reply.datagram is not None
        assert len(reply.datagram) <= len(data)


def test_validated_addresses_are_bounded(agent: IceLite) -> None:
    for port in range(1, 300):
        agent.receive_datagram(check(agent)[1], ("192.0.2.9", port))
    assert len(agent.validated) == 64


async def test_a_full_agent_connects_to_us() -> None:
    """aioice, controlling, over real sockets: it finds our host candidate, checks, and nominates."""
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    class Edge(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
            if data[0] < 4:
                reply = agent.receive_datagram(data, source)
                if reply.datagram is not None:
                    transport.sendto(reply.datagram, source)
            else:
                received.put_nowait((data, source))

    transport, _ = await loop.create_datagram_endpoint(Edge, local_addr=("127.0.0.1", 0))
    agent = IceLite((transport.get_extra_info("sockname")[:2],))
    peer = aioice.Connection(ice_controlling=True)
    peer.remote_is_lite = True
    try:
        await peer.gather_candidates()
        ours = agent.description
        peer.remote_username, peer.remote_password = ours.credentials.ufrag, ours.credentials.password
        for candidate in ours.candidates:
            await peer.add_remote_candidate(aioice.Candidate.from_sdp(candidate.serialize()))
        await peer.add_remote_candidate(None)
        agent.remote_ufrag = peer.local_username
        await asyncio.wait_for(peer.connect(), 10)
        await peer.send(b"\x80 media")
        data, source = await asyncio.wait_for(received.get(), 5)
        assert data == b"\x80 media"
        assert source == agent.selected
        transport.sendto(b"\x80 back", agent.selected)
        assert await asyncio.wait_for(peer.recv(), 5) == b"\x80 back"
    finally:
        await peer.close()
        transport.close()


def test_candidates_of_rfc_8839() -> None:
    value = "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"
    candidate = IceCandidate.parse(value)
    assert candidate is not None
    assert (candidate.component, candidate.priority, candidate.port, candidate.type) == (1, 1694498815, 45664, "srflx")
    assert candidate.extensions == ("raddr", "203.0.113.141", "rport", "8998")
    assert candidate.serialize() == value
    assert IceCandidate.host("192.0.2.1", 5000).priority == 2130706431


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1 1 UDP 1 192.0.2.1 5000 typ",
        "1 0 UDP 1 192.0.2.1 5000 typ host",
        "1 1 UDP 0 192.0.2.1 5000 typ host",
        "1 1 UDP 4294967296 192.0.2.1 5000 typ host",
        "1 1 UDP 1 192.0.2.1 65536 typ host",
        "1 1 UDP 1 192.0.2.1 -1 typ host",
        "é 1 UDP 1 192.0.2.1 5000 typ host",
        "1 1 UDP 1 192.0.2.1 5000 type host",
        "1 1 UDP ² 192.0.2.1 5000 typ host",
        "1 1 UDP 1  5000 typ host host",
        "1 1 UDP 1 192.0.2.1 5000 typ host " + "x" * 2000,
    ],
)
def test_malformed_candidates_are_ignored(value: str) -> None:
    assert IceCandidate.parse(value) is None


def test_description_in_sdp(agent: IceLite) -> None:
    ours = agent.description
    lines = [f"{line.type}={line.value}\r\n" for line in ours.session_lines()]
    media = [f"{line.type}={line.value}\r\n" for line in ours.media_lines()]
    text = HEAD + "".join(lines) + "m=audio 5000 RTP/SAVP 0\r\n" + "".join(media)
    parsed = SessionDescription.parse(text)
    assert IceDescription.of(parsed, parsed.media[0]) == ours
    assert "p" * 22 not in repr(ours)


def test_lines_reach_offers_and_no_address_is_no_hold(agent: IceLite) -> None:
    """Browsers say 0.0.0.0 while they gather candidates: with ICE that is no hold (RFC 8839 4.2.4.1)."""
    said = agent.description
    local = LocalMedia(
        "192.0.2.1",
        5000,
        security=MediaSecurity.OFF,
        attributes=said.media_lines(),
        session_attributes=said.session_lines(),
    )
    one, two = SessionNegotiation([local]), SessionNegotiation([local])
    offer = one.create_offer()
    assert offer.split("m=")[0].count("a=ice-lite\r\n") == offer.count("a=ice-lite") == 1
    two.receive_offer(offer.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"))
    two.create_answer()
    assert two.agreement is not None
    assert two.agreement.media[0] is not None
    assert two.agreement.media[0].direction is Direction.SENDRECV


def test_credentials_at_the_session_or_none() -> None:
    text = HEAD + f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 22}\r\nm=audio 5000 RTP/SAVP 0\r\n"
    parsed = SessionDescription.parse(text)
    found = IceDescription.of(parsed, parsed.media[0])
    assert found == IceDescription(IceCredentials("abcd", "x" * 22))
    plain = SessionDescription.parse(HEAD + "m=audio 5000 RTP/SAVP 0\r\n")
    assert IceDescription.of(plain, plain.media[0]) is None


@pytest.mark.parametrize(
    "lines", ["a=ice-ufrag:abcd", "a=ice-pwd:" + "x" * 22, "a=ice-ufrag:abc\r\na=ice-pwd:" + "x" * 22]
)
def test_half_or_short_credentials(lines: str) -> None:
    parsed = SessionDescription.parse(HEAD + "m=audio 5000 RTP/SAVP 0\r\n" + lines + "\r\n")
    with pytest.raises(NegotiationError):
        IceDescription.of(parsed, parsed.media[0])


def test_generated_credentials_differ() -> None:
    made = {(one.ufrag, one.password) for one in (IceCredentials.generate() for _ in range(50))}
    assert len(made) == 50
