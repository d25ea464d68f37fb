"""Several streams over one transport (RFC 9143): keyed together, and each packet with its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from peers.tones import assert_tone, tone

from rtp import ExtensionElement, HeaderExtension, RtpPacket, UdpSocket
from sdp import BundlePolicy, Codec, LocalMedia, MediaSecurity, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp
from securertc import MediaBundle, MediaSession, NoBundleError
from securertc.media.bundle_routing import MAX_SOURCES, BundleRouting
from securertc.media.dtls_media import DtlsMedia

LOOPBACK = "127.0.0.1"
VP8 = Codec("VP8", 90000, 96)


@dataclass
class Side:
    """One end with an audio stream and two of video."""

    bundle: MediaBundle
    audio: MediaSession
    videos: tuple[MediaSession, MediaSession]
    negotiation: SessionNegotiation

    @classmethod
    def make(cls, policy: BundlePolicy, keying: str) -> Side:
        bundle = MediaBundle(LOOPBACK)
        audio, videos = bundle.add(), (bundle.add(packets=True), bundle.add(packets=True))
        methods: tuple[DtlsSrtp, ...] = ()
        if keying == "dtls-srtp":
            methods = (DtlsSrtp(DtlsCertificate.generate()),)
            bundle.key_by(DtlsMedia(methods[0]))
        security = MediaSecurity.OFF if keying == "none" else MediaSecurity.REQUIRED
        place = {"address": LOOPBACK, "port": bundle.local_port, "keying": methods, "security": security}
        media = [
            LocalMedia(**place),
            *(LocalMedia(media="video", codecs=(VP8,), **place) for _ in range(2)),
        ]
        return cls(bundle, audio, videos, SessionNegotiation(media, bundle=policy))

    def start(self) -> None:
        assert self.negotiation.agreement is not None
        self.bundle.start(self.negotiation.agreement)


@pytest.fixture
async def make() -> Iterator[Callable[..., tuple[Side, Side]]]:
    made: list[Side] = []

    def pair(keying: str) -> tuple[Side, Side]:
        made.extend((Side.make(BundlePolicy.ONLY, keying), Side.make(BundlePolicy.ACCEPT, keying)))
        return made[-2], made[-1]

    yield pair
    for side in made:
        side.bundle.close()


def exchange(one: Side, two: Side, *, rekey: bool = False) -> None:
    two.negotiation.receive_offer(one.negotiation.create_offer(rekey=rekey))
    one.negotiation.receive_answer(two.negotiation.create_answer())
    two.start()
    one.start()


async def send(media: MediaSession, text: bytes, number: int = 0) -> None:
    await asyncio.wait_for(media.send_rtp(RtpPacket(96, number, 0, 0, text)), 10)


async def text_of(media: MediaSession) -> bytes:
    return bytes((await asyncio.wait_for(media.receive_rtp(), 10)).payload)


@pytest.mark.parametrize("keying", ["none", "sdescriptions", "dtls-srtp"])
async def test_three_streams_over_one_port(make: Callable[..., tuple[Side, Side]], keying: str) -> None:
    one, two = make(keying)
    exchange(one, two)
    for round_ in range(3):
        for sender, receiver in ((one, two), (two, one)):
            for number in (1, 0):  # the same payload type: only the mid tells them apart
                await send(sender.videos[number], b"%d of %d" % (round_, number), round_)
            for number in (0, 1):
                assert await text_of(receiver.videos[number]) == b"%d of %d" % (round_, number)
    await one.audio.send_audio(tone(440, 0.6))
    heard = [await asyncio.wait_for(two.audio.receive_audio(), 10) for _ in range(25)]
    assert_tone(np.concatenate(heard), 440, seconds=0.4)
    for side in (one, two):
        streams = (side.audio, *side.videos)
        assert len({media.ssrc for media in streams}) == 3
        assert {media.local_port for media in streams} == {side.bundle.local_port}
        assert sum(media.statistics.authentication_failures for media in streams) == 0
        assert {media.agreed.secured for media in streams} == {keying != "none"}
        assert all(media.agreed.outbound == side.audio.agreed.outbound for media in streams)


@pytest.mark.parametrize("keying", ["sdescriptions", "dtls-srtp"])
async def test_re_offers_and_new_keys(make: Callable[..., tuple[Side, Side]], keying: str) -> None:
    one, two = make(keying)
    exchange(one, two)
    await send(one.videos[1], b"before")
    assert await text_of(two.videos[1]) == b"before"
    first = one.videos[1].agreed.outbound
    for offering, answering, rekey in ((two, one, False), (one, two, True)):
        exchange(offering, answering, rekey=rekey)
        for media in (*one.videos, *two.videos):
            await asyncio.wait_for(media.keyed(), 10)
        await send(one.videos[1], b"after", 1 + rekey)
        assert await text_of(two.videos[1]) == b"after"
        assert one.videos[0].agreed.outbound == one.videos[1].agreed.outbound
        assert (one.videos[1].agreed.outbound == first) is not rekey


async def test_a_peer_without_groups_has_the_first_stream(make: Callable[..., tuple[Side, Side]]) -> None:
    one, _ = make("sdescriptions")
    alone = MediaSession(LOOPBACK)
    video = LocalMedia(LOOPBACK, 5002, media="video", codecs=(VP8,))
    peer = SessionNegotiation([LocalMedia(LOOPBACK, alone.local_port), video])
    peer.receive_offer(one.negotiation.create_offer())
    one.negotiation.receive_answer(peer.create_answer())
    one.start()
    assert peer.agreement is not None
    alone.start(peer.agreement.media[0])
    await one.audio.send_audio(tone(1000, 0.6))
    frames = [await asyncio.wait_for(alone.receive_audio(), 10) for _ in range(25)]
    assert_tone(np.concatenate(frames), 1000, seconds=0.4)
    alone.close()


async def test_two_transports_are_refused(make: Callable[..., tuple[Side, Side]]) -> None:
    one, _ = make("sdescriptions")
    places = [LocalMedia(LOOPBACK, 5000), LocalMedia(LOOPBACK, 5002, media="video", codecs=(VP8,))]
    two, three = SessionNegotiation(places), SessionNegotiation(places)
    two.receive_offer(three.create_offer())
    three.receive_answer(two.create_answer())
    assert three.agreement is not None
    with pytest.raises(NoBundleError):
        one.bundle.start(three.agreement)


async def test_forged_packets_teach_nothing(make: Callable[..., tuple[Side, Side]]) -> None:
    """Who knows SSRC and mid, but no key, cannot make a stream's packets go elsewhere."""
    one, two = make("sdescriptions")
    exchange(one, two)
    await send(one.videos[0], b"first")
    assert await text_of(two.videos[0]) == b"first"
    other = two.videos[1].agreed
    extension = HeaderExtension.one_byte((ExtensionElement(other.mid_extension, other.mid.encode()),))
    forged = RtpPacket(96, 9, 0, one.videos[0].ssrc, b"forged", extension=extension)
    stranger = UdpSocket.bind(LOOPBACK, 0, lambda *_: None)
    for _ in range(5):
        stranger.send(forged.serialize() + bytes(16), (LOOPBACK, two.bundle.local_port))
    async with asyncio.timeout(5):
        while two.videos[1].statistics.authentication_failures < 5:  # noqa: ASYNC110  # nothing tells of them
            await asyncio.sleep(0.01)
    # A packet of that source that names no mid goes where its authentic ones went.
    assert two.bundle._routing.stream_of(data(96, ssrc=one.videos[0].ssrc or 0)) == 1
    await send(one.videos[0], b"second", 1)
    assert await text_of(two.videos[0]) == b"second"
    assert two.videos[1].statistics.authentication_failures == 5
    assert two.videos[1].remote_ssrc is None
    stranger.close()


def routing() -> BundleRouting:
    negotiations = [
        SessionNegotiation(
            [
                LocalMedia(LOOPBACK, 4000, telephone_event=101),
                *(LocalMedia(LOOPBACK, 4000, media="video", codecs=(VP8,)) for _ in range(2)),
            ],
            bundle=policy,
        )
        for policy in (BundlePolicy.ONLY, BundlePolicy.ACCEPT)
    ]
    negotiations[1].receive_offer(negotiations[0].create_offer())
    negotiations[0].receive_answer(negotiations[1].create_answer())
    made = BundleRouting()
    assert negotiations[0].agreement is not None
    made.update(one for one in negotiations[0].agreement.media if one is not None)
    return made


def data(payload_type: int, ssrc: int = 7, mid: bytes | None = None, *, long: bool = False) -> bytes:
    extension = None
    if mid is not None:
        pack = HeaderExtension.two_byte if long else HeaderExtension.one_byte
        extension = pack((ExtensionElement(9, b"other"), ExtensionElement(1, mid)))
    return RtpPacket(payload_type, 1, 2, ssrc, b"x", extension=extension).serialize()


@pytest.mark.parametrize("long", [False, True])
def test_the_order_of_rfc_9143(long: bool) -> None:
    table = routing()
    assert table.stream_of(data(0)) == table.stream_of(data(101)) == 0  # a payload type of one stream only
    assert table.stream_of(data(96)) is None  # of two
    assert table.stream_of(data(96, mid=b"1", long=long)) == 1
    assert table.stream_of(data(96, mid=b"2", long=long)) == 2
    assert table.stream_of(data(96, mid=b"3", long=long)) is None  # no such section
    assert table.stream_of(data(0, mid=b"1", long=long)) is None  # not a payload type of that section
    table.learn(7, 2)
    assert table.stream_of(data(96)) == 2
    assert table.stream_of(data(0)) is None  # a source does not move by its payload type alone
    assert table.stream_of(data(96, mid=b"1", long=long)) == 1
    table.update([])
    assert table.stream_of(data(96)) is None


def test_sources_are_bounded_and_noise_has_no_stream() -> None:
    table = routing()
    for ssrc in range(2 * MAX_SOURCES):
        table.learn(ssrc, 1)
    assert table.stream_of(data(96, ssrc=0)) is None
    assert table.stream_of(data(96, ssrc=2 * MAX_SOURCES - 1)) == 1
    whole = data(96, ssrc=5000, mid=b"1")
    for length in range(len(whole)):
        table.stream_of(whole[:length])
    assert table.stream_of(bytes(11)) is None
    assert table.stream_of(whole[:14]) is None
