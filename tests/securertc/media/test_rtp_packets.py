"""RTP packets of any codec through a MediaSession: sent and received as they are, but for SSRC and first number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rtp import ExtensionElement, HeaderExtension, RtpPacket, UdpSocket
from sdp import Codec, LocalMedia, MediaSecurity, SessionNegotiation
from securertc import CallEndedError, MediaSession, NoMediaYetError, UnsupportedCodecError
from srtp import Direction, Session, SrtpError

LOOPBACK = "127.0.0.1"
VP8 = Codec("VP8", 90000, 96)
Pair = tuple[MediaSession, MediaSession]


def agree(one: MediaSession, two: MediaSession, security: MediaSecurity, *, hold: bool = False) -> SessionNegotiation:
    sessions = [
        SessionNegotiation([LocalMedia(LOOPBACK, side.local_port, media="video", codecs=(VP8,), security=security)])
        for side in (one, two)
    ]
    if hold:
        sessions[1].hold()
    sessions[1].receive_offer(sessions[0].create_offer())
    sessions[0].receive_answer(sessions[1].create_answer())
    for side, session in zip((one, two), sessions, strict=True):
        assert session.agreement is not None
        side.start(session.agreement.media[0])
    return sessions[0]


@pytest.fixture
async def pair() -> Iterator[Pair]:
    one, two = MediaSession(LOOPBACK, packets=True), MediaSession(LOOPBACK, packets=True)
    yield one, two
    one.close()
    two.close()


async def receive(media: MediaSession) -> RtpPacket:
    return await asyncio.wait_for(media.receive_rtp(), 5)


def packet(number: int, payload: bytes = b"frame", **more: object) -> RtpPacket:
    return RtpPacket(96, number & 0xFFFF, 3000 * number & 0xFFFFFFFF, 0xABCD, payload, **more)


@pytest.mark.parametrize("security", [MediaSecurity.REQUIRED, MediaSecurity.OFF])
async def test_packets_arrive_as_they_were_sent(pair: Pair, security: MediaSecurity) -> None:
    one, two = pair
    agree(one, two, security)
    extension = HeaderExtension.one_byte((ExtensionElement(3, b"abc"),))
    sent = [
        packet(65534, marker=True, csrcs=(1, 2), extension=extension),
        packet(65535, bytes(1200)),
        packet(2),  # 0 and 1 were lost before they came to us: that gap stays, over the wrap
        packet(1, padding_length=4),
        packet(3, b""),
    ]
    for one_packet in sent:
        await one.send_rtp(one_packet)
    got = [await receive(two) for _ in sent]
    first = got[0].sequence_number
    assert [(item.sequence_number - first) & 0xFFFF for item in got] == [0, 1, 4, 3, 5]
    assert {item.ssrc for item in got} == {one.ssrc} == {two.remote_ssrc}
    for item, original in zip(got, sent, strict=True):
        names = ("payload_type", "timestamp", "marker", "csrcs", "extension", "padding_length")
        assert [getattr(item, name) for name in names] == [getattr(original, name) for name in names]
        assert bytes(item.payload) == bytes(original.payload)
    assert two.statistics.packets_received == one.statistics.packets_sent == 5
    assert two.statistics.authenticated == (5 if security is MediaSecurity.REQUIRED else 0)


async def test_nothing_readable_leaves_and_no_number_twice(pair: Pair) -> None:
    one, _ = pair
    caught: asyncio.Queue[bytes] = asyncio.Queue()
    sniffer = UdpSocket.bind(LOOPBACK, 0, lambda data, _: caught.put_nowait(data))
    session = SessionNegotiation([LocalMedia(LOOPBACK, one.local_port, media="video", codecs=(VP8,))])
    peer = SessionNegotiation([LocalMedia(LOOPBACK, sniffer.local_address[1], media="video", codecs=(VP8,))])
    peer.receive_offer(session.create_offer())
    agreed = session.receive_answer(peer.create_answer()).media[0]
    assert agreed is not None
    one.start(agreed)
    await one.send_rtp(packet(1, b"a secret of ours"))
    with pytest.raises(SrtpError):
        await one.send_rtp(packet(1, b"another secret.."))
    data = await asyncio.wait_for(caught.get(), 5)
    assert b"secret" not in data
    assert bytes(RtpPacket.parse(Session(None, agreed.outbound).unprotect(data)).payload) == b"a secret of ours"
    await asyncio.sleep(0.05)
    assert caught.empty()
    sniffer.close()


async def test_forged_packets_are_not_handed_out(pair: Pair) -> None:
    one, two = pair
    agree(one, two, MediaSecurity.REQUIRED)
    stranger = UdpSocket.bind(LOOPBACK, 0, lambda *_: None)
    for number in range(20):
        stranger.send(packet(number, b"forged").serialize(), (LOOPBACK, two.local_port))
    await one.send_rtp(packet(7, b"genuine"))
    assert bytes((await receive(two)).payload) == b"genuine"
    stranger.close()


async def test_several_sources_of_a_peer_are_all_handed_out(pair: Pair) -> None:
    one, two = pair
    agree(one, two, MediaSecurity.OFF)
    for number in range(6):
        data = RtpPacket(96, number, 0, 100 + number % 2, bytes([number])).serialize()
        one._rtp.send(data, (LOOPBACK, two.local_port))
    got = [await receive(two) for _ in range(6)]
    assert [bytes(item.payload)[0] for item in got] == list(range(6))
    assert two.remote_ssrc == 100
    assert two.statistics.packets_received == 6
    assert two.statistics.lost < 3  # the other source's numbers do not count as losses of this one


async def test_held_packets_are_dropped_and_closing_ends_it(pair: Pair) -> None:
    one, two = pair
    with pytest.raises(NoMediaYetError):
        await one.send_rtp(packet(1))
    agree(one, two, MediaSecurity.REQUIRED, hold=True)
    await one.send_rtp(packet(1))
    assert one.statistics.packets_sent == 0
    await two.send_rtp(packet(1))
    assert (await receive(one)).payload_type == 96
    waiting = asyncio.ensure_future(one.receive_rtp())
    await asyncio.sleep(0)
    one.close()
    with pytest.raises(CallEndedError):
        await waiting
    with pytest.raises(CallEndedError):
        await one.send_rtp(packet(2))


async def test_a_codec_that_is_not_done_here_is_not_taken_for_audio() -> None:
    one, two = MediaSession(LOOPBACK), MediaSession(LOOPBACK, packets=True)
    with pytest.raises(UnsupportedCodecError, match="VP8"):
        agree(one, two, MediaSecurity.REQUIRED)
    agree(two, MediaSession(LOOPBACK, packets=True), MediaSecurity.REQUIRED)
    with pytest.raises(UnsupportedCodecError, match="VP8"):
        await two.send_audio([0] * 160)
    one.close()
    two.close()


async def test_a_new_key_takes_a_new_source_once_the_numbers_have_wrapped(pair: Pair) -> None:
    """As for audio: RFC 3711 3.3.1 keeps the ROC of an SSRC under a new key, RFC 4568 7.1.4 starts it at 0."""
    one, two = pair
    session = agree(one, two, MediaSecurity.REQUIRED)
    for number in range(0, 65536 * 2, 16000):
        await one.send_rtp(packet(number))
        await receive(two)
    before = one.ssrc
    stream = one._stream
    assert stream is not None
    assert stream._sender._session.roc(before, Direction.OUTBOUND)
    peer = SessionNegotiation([LocalMedia(LOOPBACK, two.local_port, media="video", codecs=(VP8,))])
    peer.receive_offer(session.create_offer(rekey=True))
    session.receive_answer(peer.create_answer())
    assert session.agreement is not None
    assert peer.agreement is not None
    two.start(peer.agreement.media[0])
    one.start(session.agreement.media[0])
    await one.send_rtp(packet(7, b"under the new key"))
    got = await receive(two)
    assert bytes(got.payload) == b"under the new key"
    assert got.ssrc == one.ssrc != before
